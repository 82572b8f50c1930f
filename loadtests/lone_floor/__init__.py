"""What a lone request takes in the barest servers that could compute it."""
