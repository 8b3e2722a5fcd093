"""Calls a model by the Open Inference Protocol with Triton's own client, and says what came: one line of JSON.

Arguments: address, token, model, and the file of golden numbers (functions/models/golden.py).
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

address, token, model, golden = sys.argv[1:]
golden = json.load(open(golden))
told = golden["inputs"][0]
i = np.arange(np.prod(told["shape"]), dtype=np.int64)
pattern = (i * 7919 % 256).astype(np.float32) / np.float32(255)
pattern = pattern * np.float32(told["pattern"]["scale"]) + np.float32(told["pattern"]["offset"])
pattern = pattern.reshape(told["shape"])

client = triton.InferenceServerClient(url=address)
headers = {"Authorization": "Bearer " + token}


def infer(array, binary, name=told["name"], headers=headers, version=""):
    tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array, binary_data=binary)
    wanted = [triton.InferRequestedOutput(golden["outputs"][0]["name"], binary_data=binary)]
    # A copy: the client leaves its own headers in it.
    own = dict(headers)
    return client.infer(model, [tensor], outputs=wanted, headers=own, model_version=version, request_id="7")


def refused(*args, **more):
    try:
        infer(*args, **more)
        return "taken"
    except InferenceServerException as error:
        return f"{error.status()}: {error.message()}"


metadata = client.get_model_metadata(model, headers=headers)
apart = []
for binary in (True, False):
    output = infer(pattern, binary).as_numpy(golden["outputs"][0]["name"])
    first = np.array(golden["outputs"][0]["first"], np.float32)
    apart.append(float(np.abs(output.reshape(-1)[: len(first)] - first).max()))
    assert list(output.shape) == golden["outputs"][0]["shape"], output.shape

print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": client.is_model_ready(model, headers=headers),
            "no_model": client.is_model_ready(model + "x", headers=headers),
            "version": client.is_model_ready(model, model_version=metadata["versions"][0], headers=headers),
            "metadata": metadata,
            "apart": apart,
            "id": infer(pattern, True).get_response()["id"],
            "wrong_shape": refused(pattern[:, :, :5], True),
            "wrong_type": refused(pattern.astype(np.int64), False),
            "wrong_name": refused(pattern, True, name="pixels"),
            "no_token": refused(pattern, True, headers={}),
        }
    )
)
