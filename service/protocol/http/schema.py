"""What the documentation says about bodies: they are read by hand, so FastAPI can't know."""

from typing import Any

_SCALAR = {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
_PARAMETERS = {"type": "object", "additionalProperties": _SCALAR}
_DATATYPE = {
    "type": "string",
    "enum": [
        *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
        *("FP16", "BF16", "FP32", "FP64", "BYTES"),
    ],
    "description": "FP16 and BF16 exist as binary data only.",
}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 16},
        "datatype": _DATATYPE,
        "parameters": {**_PARAMETERS, "description": "`binary_data_size`: the tensor's bytes follow the JSON."},
        "data": {
            "type": "array",
            "items": {},
            "description": "Row-major, flat or nested. The tokens NaN, Infinity and -Infinity are allowed.",
        },
    },
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "description": "Comes back in the answer."},
        "parameters": {**_PARAMETERS, "description": "`timeout`: microseconds until the answer has lost its use."},
        "inputs": {"type": "array", "items": _TENSOR, "maxItems": 64},
        "outputs": {
            "type": "array",
            "description": "The outputs wanted; all when absent.",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {**_PARAMETERS, "description": "`binary_data`: send it as binary data."},
                },
            },
        },
    },
    "example": {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4]}]},
}
_RESPONSE = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error", "reason"],
    "properties": {"error": {"type": "string"}, "reason": {"type": "string"}},
}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_BINARY = {
    "application/octet-stream": {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON and then raw tensors; Inference-Header-Content-Length is the length of the JSON.",
        }
    }
}
_REFUSALS = {
    "400": _json("The request can't be understood or doesn't fit the model.", _ERROR),
    "404": _json("There is no such model or version.", _ERROR),
    "413": _json("The body is larger than the limit.", _ERROR),
    "503": _json("Try again after Retry-After seconds.", _ERROR),
    "504": _json("The answer wasn't there in the time that was granted.", _ERROR),
}

INFER_OPENAPI: dict[str, Any] = {
    "parameters": [
        {
            "name": "Inference-Header-Content-Length",
            "in": "header",
            "schema": {"type": "integer", "minimum": 0},
            "description": "Length of the JSON part when binary data follows it.",
        },
        {
            "name": "X-Request-Timeout-Ms",
            "in": "header",
            "schema": {"type": "number", "minimum": 0},
            "description": "Milliseconds until the answer has lost its use.",
        },
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}, **_BINARY}},
    "responses": {
        "200": {
            "description": "The outputs.",
            "content": {"application/json": {"schema": _RESPONSE}, **_BINARY},
        },
        **_REFUSALS,
    },
}
_INSTANCES = {
    "type": "object",
    "properties": {
        "instances": {
            "type": "array",
            "items": {},
            "description": "By rows: a value for each instance, or an object with a value for each input.",
        },
        "inputs": {"description": "By columns: a value, or an object with a value for each input."},
    },
    "example": {"instances": [[0.1, 0.2, 0.3, 0.4]]},
}
_FILE = {"schema": {"type": "string", "format": "binary", "description": "A file, for a model whose card takes one."}}
PREDICT_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _INSTANCES},
            "image/png": _FILE,
            "image/jpeg": _FILE,
            "text/plain": {
                "schema": {
                    "type": "string",
                    "description": "For a model whose only input is a text, or whose card tokenizes one.",
                }
            },
        },
    },
    "responses": {
        "200": _json(
            "`predictions` by rows, or `outputs` by columns; of a picture or a text of tokens the likeliest classes.",
            {"type": "object"},
        ),
        **_REFUSALS,
        "501": _json("The model takes no such body.", _ERROR),
    },
}
_WISHES = {
    "type": "object",
    "properties": {
        "max_tokens": {"type": "integer", "minimum": 1, "description": "The most tokens of the answer."},
        "temperature": {"type": "number", "minimum": 0, "description": "0: always the likeliest token."},
        "top_k": {"type": "integer", "minimum": 0, "description": "Choose among so many likeliest tokens; 0: all."},
        "top_p": {"type": "number", "description": "Choose among the fewest with this share of the probability."},
        "seed": {"type": "integer", "minimum": 0, "description": "The same seed chooses the same tokens."},
        "stop": {"description": "A text, or a list of them, before which the answer ends."},
    },
    "additionalProperties": True,
}
_PROMPT = {
    "type": "object",
    "required": ["text_input"],
    "properties": {"id": {"type": "string"}, "text_input": {"type": "string"}, "parameters": _WISHES},
    "example": {"text_input": "The with statement", "parameters": {"max_tokens": 32}},
}
_TEXT = {
    "type": "object",
    "required": ["model_name", "model_version", "text_output"],
    "properties": {
        **{key: {"type": "string"} for key in ("id", "model_name", "model_version", "text_output")},
        "finish_reason": {"type": "string", "enum": ["eos", "stop", "length"]},
        "generated_tokens": {"type": "integer"},
    },
}
_WRITES_NONE = {**_REFUSALS, "501": _json("The model writes no texts.", _ERROR)}
_PROMPT_BODY = {"required": True, "content": {"application/json": {"schema": _PROMPT}}}
GENERATE_OPENAPI: dict[str, Any] = {
    "requestBody": _PROMPT_BODY,
    "responses": {"200": _json("The text.", _TEXT), **_WRITES_NONE},
}
EVENTS_OPENAPI: dict[str, Any] = {
    "requestBody": _PROMPT_BODY,
    "responses": {
        "200": {
            "description": "An event (`data: {...}`) for each piece of the text; the last says why it ended.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **_WRITES_NONE,
    },
}
INDEX_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}},
    },
    "responses": {
        "200": _json("One entry for each model and version.", {"type": "array", "items": {"type": "object"}})
    },
}
_OVERRIDE = {
    "type": "object",
    "properties": {"config": {"type": "string", "description": "A configuration as JSON, in place of config.pbtxt."}},
    "additionalProperties": {
        "type": "string",
        "format": "byte",
        "description": "`file:<version>/<name>`: a file, in place of all that the model's folder holds.",
    },
}
LOAD_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": {"type": "object", "properties": {"parameters": _OVERRIDE}}}},
    },
    "responses": {
        "200": {"description": "The model serves."},
        **{code: _REFUSALS[code] for code in ("400", "404", "413", "503")},
        "500": _json("The model can't be loaded; what served it before goes on.", _ERROR),
    },
}
_LOGGING = {
    "type": "object",
    "properties": {
        **{key: {"type": "boolean"} for key in ("log_info", "log_warning", "log_error")},
        "log_verbose_level": {"type": "integer", "minimum": 0},
        "log_format": {"type": "string", "enum": ["default", "ISO8601"]},
    },
}
LOGGING_OPENAPI: dict[str, Any] = {
    "requestBody": {"required": False, "content": {"application/json": {"schema": _LOGGING}}},
    "responses": {
        "200": _json("What is set now.", {"type": "object"}),
        "400": _REFUSALS["400"],
        "403": _json("Clients may not change it.", _ERROR),
        "501": _json("It can't be changed by request.", _ERROR),
    },
}
_TEXTS = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_TRACE = {
    "type": "object",
    "properties": {
        "trace_level": {"type": "array", "items": {"type": "string", "enum": ["OFF", "TIMESTAMPS"]}, "nullable": True},
        **{key: {**_TEXTS, "nullable": True} for key in ("trace_rate", "trace_count", "log_frequency")},
    },
}
TRACE_OPENAPI: dict[str, Any] = {
    "requestBody": {"required": False, "content": {"application/json": {"schema": _TRACE}}},
    "responses": {**LOGGING_OPENAPI["responses"], "404": _REFUSALS["404"]},
}
CHANGED_OPENAPI: dict[str, Any] = {
    "responses": {
        "200": {"description": "Done."},
        "400": _REFUSALS["400"],
        "403": _json("Clients may not, as the server was started.", _ERROR),
    }
}
_PLACE = {
    "type": "object",
    "required": ["key", "byte_size"],
    "properties": {
        "key": {"type": "string", "description": "The name of a POSIX shared memory object."},
        "offset": {"type": "integer", "minimum": 0},
        "byte_size": {"type": "integer", "minimum": 1},
    },
}
REGISTER_OPENAPI: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _PLACE}}},
    **CHANGED_OPENAPI,
}
_UNLOADED: dict[str, Any] = {"type": "object", "properties": {"unload_dependents": {"type": "boolean"}}}
UNLOAD_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": {"type": "object", "properties": {"parameters": _UNLOADED}}}},
    },
    "responses": {"200": {"description": "The model doesn't serve."}, "400": _REFUSALS["400"]},
}
JSON_OPENAPI: dict[str, Any] = {"responses": {"200": _json("What was asked for.", {"type": "object"})}}
READY_OPENAPI: dict[str, Any] = {"responses": {"200": {"description": "Yes."}, "400": {"description": "No."}}}
