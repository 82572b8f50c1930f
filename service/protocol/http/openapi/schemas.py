"""What bodies are made of, by name."""

from service.datatypes import DATATYPES
from service.engine.generation import LOADING, READY, UNAVAILABLE, UNLOADING
from service.engine.text.wishes import MOST_STOP_CHARACTERS, MOST_STOPS
from service.protocol.http.openapi.terms import (
    COUNT,
    FLAG,
    SCALAR,
    TEXT,
    Schema,
    described,
    listed,
    optional,
    record,
    ref,
    whole,
)
from service.protocol.limits import Limits

_LIMITS = Limits()
_SHAPE = listed(COUNT, maxItems=_LIMITS.max_rank)
_DATATYPE = {**TEXT, "enum": DATATYPES, "description": "FP16 and BF16 exist as binary data only."}
_REGION = {
    "shared_memory_region": described(TEXT, "A registered region, which holds the tensor."),
    "shared_memory_offset": COUNT,
    "shared_memory_byte_size": COUNT,
}
_GRANTED = {
    "timeout": {"type": "number", "minimum": 0, "description": "Microseconds until the answer has lost its use."},
    "priority": described(COUNT, "A level of the model's queue: 1 is the first, 0 the model's default."),
}
_INPUT = record(
    {
        "name": TEXT,
        "shape": _SHAPE,
        "datatype": ref("Datatype"),
        "parameters": optional(record({"binary_data_size": described(COUNT, "Its bytes follow the JSON.")} | _REGION)),
        "data": described(listed({}), "Row-major, flat or nested. NaN, Infinity and -Infinity are tokens."),
    },
    *("name", "shape", "datatype"),
)
_OUTPUT = record(
    {
        "name": TEXT,
        "parameters": optional(
            record(
                {
                    "binary_data": described(FLAG, "Send it as binary data."),
                    "classification": {"type": "integer", "minimum": 1, "description": "So many best classes of it."},
                    **_REGION,
                }
            )
        ),
    },
    "name",
)
_INFERENCE = record(
    {
        "id": described(optional(TEXT), "Comes back in the answer."),
        "parameters": optional(
            record(
                {
                    **_GRANTED,
                    "binary_data_output": described(FLAG, "Send outputs that aren't listed as binary data."),
                    "sequence_id": {"type": ["integer", "string"], "description": "Of a model with sequence_batching."},
                    "sequence_start": FLAG,
                    "sequence_end": FLAG,
                },
                more=SCALAR,
            )
        ),
        "inputs": listed(ref("RequestInput"), maxItems=_LIMITS.max_tensors),
        "outputs": described(
            optional(listed(ref("RequestOutput"), maxItems=_LIMITS.max_tensors)), "Those wanted; all when absent."
        ),
    },
    "inputs",
)
_ANSWERED = {"id": TEXT, "model_name": TEXT, "model_version": TEXT}
_BY_ROWS = "By rows: a value for each instance, or an object with a value for each input."
_BY_COLUMNS = "By columns: a value, or an object with a value for each input."
_PREDICT = record(
    {
        "instances": described(listed({}, minItems=1), _BY_ROWS),
        "inputs": {"description": _BY_COLUMNS},
        "signature_name": {"const": "serving_default"},
    },
    more=False,
) | {"oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}]}
_STOP = {**TEXT, "minLength": 1, "maxLength": MOST_STOP_CHARACTERS}
_WISHES = {
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1, "description": "The most of the answer."},
    "temperature": {"type": "number", "minimum": 0, "maximum": 100, "description": "0: always the likeliest token."},
    "top_k": described(COUNT, "Choose among so many likeliest tokens; 0: all."),
    "top_p": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "description": "Choose among the fewest with this share of the probability.",
    },
    "seed": described(COUNT, "The same seed chooses the same tokens."),
    "stop": {
        "anyOf": [_STOP, listed(_STOP, maxItems=MOST_STOPS)],
        "description": "A text before which the answer ends, or several.",
    },
    "stop_words": {
        "anyOf": [described(TEXT, "JSON of such a list."), listed(_STOP, maxItems=MOST_STOPS)],
        "description": "The same as a list.",
    },
    "stream": described(FLAG, "False: generate_stream sends one event, at the end."),
}
_TIMES = ("compute_input", "compute_infer", "compute_output")
_REQUEST_TIMES = ("success", "fail", "queue", *_TIMES, "cache_hit", "cache_miss")
_STATISTICS = whole(
    {
        "name": TEXT,
        "version": TEXT,
        **dict.fromkeys(("last_inference", "inference_count", "execution_count"), COUNT),
        "inference_stats": whole(dict.fromkeys(_REQUEST_TIMES, ref("Duration"))),
        "response_stats": record({}),
        "batch_stats": listed(whole({"batch_size": COUNT, **dict.fromkeys(_TIMES, ref("Duration"))})),
        "memory_usage": listed(record({})),
    }
)
_OVERRIDE = {
    **record({"config": described(TEXT, "A configuration as JSON, in place of config.pbtxt.")}, more=False),
    "patternProperties": {
        "^file:": {
            "type": "string",
            "contentEncoding": "base64",
            "minLength": 1,
            "description": "`file:<version>/<name>`: a file, in place of all that the model's folder holds.",
        }
    },
}
_UNLOAD = record({"unload_dependents": described(FLAG, "Also the models that only this one needs.")}, more=False)
_LOGGED: dict[str, Schema] = {
    **dict.fromkeys(("log_info", "log_warning", "log_error"), FLAG),
    "log_verbose_level": {**COUNT, "maximum": 2**32 - 1},
    "log_format": {"const": "ISO8601"},
}
_LEVELS = {"enum": ["OFF", "TIMESTAMPS"]}
_NUMBERS = ("trace_rate", "trace_count", "log_frequency")
_TEXTS = {"type": ["string", "array", "null"], "items": TEXT}
_TRACED: dict[str, Schema] = {
    "trace_level": {"anyOf": [listed(_LEVELS), {"enum": ["OFF", "TIMESTAMPS", "", None]}]},
    **dict.fromkeys((*_NUMBERS, "trace_mode"), _TEXTS),
}

SCHEMAS: dict[str, Schema] = {
    "Error": whole({"error": TEXT, "reason": described(TEXT, "A word for machines, the same at every door.")}),
    "ServerMetadata": whole({"name": TEXT, "version": TEXT, "extensions": listed(TEXT)}),
    "Live": whole({"live": FLAG}),
    "Ready": whole({"ready": FLAG}),
    "Datatype": _DATATYPE,
    "TensorMetadata": whole(
        {
            "name": TEXT,
            "datatype": ref("Datatype"),
            "shape": described(listed({"type": "integer", "minimum": -1}), "-1 stands for what varies."),
        }
    ),
    "ModelMetadata": whole(
        {
            "name": TEXT,
            "versions": listed(TEXT),
            "platform": TEXT,
            **dict.fromkeys(("inputs", "outputs"), listed(ref("TensorMetadata"))),
        }
    ),
    "ModelConfig": described(record({"name": TEXT}, "name"), "Triton's ModelConfig, as JSON."),
    "Duration": whole({"count": COUNT, "ns": COUNT}),
    "ModelStatistics": _STATISTICS,
    "Statistics": whole({"model_stats": listed(ref("ModelStatistics"))}),
    "RequestInput": described(_INPUT, "Has one of `data`, `binary_data_size` and `shared_memory_region`."),
    "RequestOutput": _OUTPUT,
    "InferenceRequest": _INFERENCE,
    "ResponseOutput": record(
        {
            "name": TEXT,
            "shape": _SHAPE,
            "datatype": ref("Datatype"),
            "parameters": record({"binary_data_size": COUNT}),
            "data": described(listed({}), "Row-major and flat. NaN, Infinity and -Infinity are tokens."),
        },
        *("name", "shape", "datatype"),
    ),
    "InferenceResponse": record(
        {**_ANSWERED, "parameters": record({}, more=SCALAR), "outputs": listed(ref("ResponseOutput"))},
        *("model_name", "model_version", "outputs"),
    ),
    "PredictRequest": _PREDICT,
    "PredictResponse": {
        "oneOf": [
            whole({"predictions": {"description": "By rows; of a picture the likeliest classes."}}),
            whole({"outputs": {"description": "By columns: a value, or an object with a value for each output."}}),
        ]
    },
    "Models": whole({"models": listed(TEXT)}),
    "ModelState": whole({"name": TEXT, "ready": FLAG}),
    "Status": whole({"status": {"const": "alive"}}),
    "GenerateRequest": record(
        {
            "text_input": described(TEXT, "The text to begin with."),
            "id": described(TEXT, "Comes back in the answer."),
            "parameters": record({**_WISHES, **_GRANTED}, more=SCALAR),
            **_WISHES,
            **_GRANTED,
        },
        "text_input",
        more=SCALAR,
    ),
    "GenerateResponse": record(
        {
            **_ANSWERED,
            "text_output": TEXT,
            "finish_reason": {"enum": ["eos", "stop", "length"]},
            "generated_tokens": COUNT,
        },
        *("model_name", "model_version", "text_output"),
    ),
    "Event": whole(
        {
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"anyOf": [ref("GenerateResponse"), ref("Error")]},
            }
        }
    ),
    "IndexRequest": record({"ready": described(FLAG, "Only those that are ready.")}),
    "IndexEntry": record(
        {
            "name": TEXT,
            "version": TEXT,
            "reason": TEXT,
            "state": {"enum": [READY, LOADING, UNAVAILABLE, UNLOADING]},
        },
        "name",
    ),
    "LoadRequest": record({"parameters": _OVERRIDE}),
    "UnloadRequest": record({"parameters": _UNLOAD}),
    "LogChanges": record(_LOGGED, more=False),
    "LogSettings": whole({"log_file": TEXT, **_LOGGED}),
    "TraceChanges": described(record(_TRACED, more=False), "null, or nothing, takes back what was set."),
    "TraceSettings": whole(
        {"trace_level": listed(_LEVELS), **dict.fromkeys((*_NUMBERS, "trace_file", "trace_mode"), TEXT)}
    ),
    "Place": record(
        {
            "key": described(TEXT, "The name of a POSIX shared memory object, a file of /dev/shm."),
            "offset": COUNT,
            "byte_size": {"type": "integer", "minimum": 1},
        },
        *("key", "byte_size"),
    ),
    "Region": whole({"name": TEXT, "key": TEXT, "offset": COUNT, "byte_size": COUNT}),
}
