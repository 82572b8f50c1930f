"""Distillation: a student learns from a trained teacher, from its answers and from what its layers make of an input."""
