"""The OpenAPI document of the HTTP door, and the page that shows it.

Bodies are read by hand, so FastAPI can't know them: `schemas` has what they are made of, `operations` what each route
takes and answers, `examples` bodies for the models that are served at the moment, and `document` puts them together.
"""
