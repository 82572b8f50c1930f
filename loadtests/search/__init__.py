"""The bench of the compression search: what is searched, how it is measured again, and what other tools find."""
