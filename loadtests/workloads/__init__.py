"""What the benches serve: five networks with random weights, and one request for each.

W1 is so small that everything around it is what is measured; W2 sends 12 KB and computes little; W3 and W5 are an
encoder for text, at two lengths; W4 is an image network that computes for tens of milliseconds, sent 602 KB or 150 KB.
"""
