"""Structured pruning: units that matter least are cut out, and the network is built anew from a smaller config.

`kinds` says for every kind of network which units there are, `importance` what each is worth, `allocation` how many
of each stay, and `narrowing` copies what is kept. `masks` zeroes weights instead, where that is of use.
"""
