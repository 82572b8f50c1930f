"""What a search compresses: a recipe's network, a language model, a file of anybody's."""
