"""What networks learn from: labelled images, cut into parts that never overlap, and the batches training takes."""
