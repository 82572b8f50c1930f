"""Schedulers: one per served model, chosen by what its configuration asks for, as Triton's `scheduling_choice`."""
