"""The checks, a file for each subject. Each file ends with the tuple of its checks, in the order in which they run."""
