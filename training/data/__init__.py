"""What networks learn from, and how it is cut into parts that never overlap.

Each kind is one file, with its settings and `load(settings, seed)`, which gives a `Dataset`. Some are at hand wherever
this is installed: `digits`, `scenes` composed of them, digits as `anomalies` and for `retrieval`, `tabular` figures,
`series` in time, `texts`, `source_code`. Others are somebody's own: pictures in a `folder`, a `table`, a series in one
(`series_table`), texts in `lines`, `arrays`. Whoever has more to tell than a dataset (a tokenizer, how a table is
encoded, what was left out) has `read` besides. `Shares` cut a dataset, `checks` say what is wrong with one, `moments`
what to normalise it by; `batches` hand it out.
"""
