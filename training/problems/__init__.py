"""What a network is for, one problem a file: how data, network, task, metrics, baselines and what is served fit."""
