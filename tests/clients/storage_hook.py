"""A lifecycle hook in Python: every company gets a folder, and loses it when it is purged.

    storage_hook.py <descriptors> <trusted services> <folder> <port>

<descriptors> is the contract as an encoded FileDescriptorSet (`buf build -o tenantry.binpb`), <trusted services> the
file that `catalog generate-key` writes. The word in <folder>/behaviour, if any, makes it misbehave, for the tests.
"""

import json
import pathlib
import shutil
import sys
import time
from concurrent import futures

import grpc
import jwt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "tenantry.lifecycle.v1.LifecycleHookService"
# The hook's name in CATALOG_LIFECYCLE_HOOKS, which the catalog's tokens are for.
NAME = "storage"


class Storage:
    def __init__(self, keys, folder):
        self.keys = {key["kid"]: jwt.PyJWK(key) for key in keys}
        self.folder = folder

    def prepare_tenant(self, request, context):
        self.check(context)
        if self.removed(request.company_id).exists():
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the company is gone")
        self.misbehave(context)
        own = self.folder / request.company_id
        own.mkdir(exist_ok=True)
        (own / "owner.json").write_text(json.dumps({"name": request.name, "labels": dict(request.labels)}))
        self.log("prepare", request)
        return self.answer(request)

    def remove_tenant(self, request, context):
        self.check(context)
        self.misbehave(context)
        # So that what comes late finds that it is late.
        self.removed(request.company_id).touch()
        shutil.rmtree(self.folder / request.company_id, ignore_errors=True)
        self.log("remove", request)
        return self.answer(request)

    def check(self, context):
        """Only the catalog may call, by a token for this hook."""
        headers = dict(context.invocation_metadata())
        try:
            token = headers["authorization"].removeprefix("Bearer ")
            key = self.keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, key, algorithms=["ES256"], audience=NAME, issuer="catalog")
        except (KeyError, jwt.PyJWTError) as error:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"not the catalog: {error!r}")
        if claims["sub"] != "catalog":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not the catalog")

    def removed(self, company_id):
        return self.folder / f"{company_id}.removed"

    def behaviour(self):
        path = self.folder / "behaviour"
        return path.read_text() if path.exists() else "well"

    def misbehave(self, context):
        match self.behaviour():
            case "refuse":
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no room for this one")
            case "fail":
                context.abort(grpc.StatusCode.INTERNAL, "the disk is on fire")
            case "late":
                time.sleep(1.0)

    def answer(self, request):
        return {"company_id": "somebody else" if self.behaviour() == "lie" else request.company_id}

    def log(self, done, request):
        with (self.folder / "log").open("a") as log:
            log.write(f"{done} {request.company_id}\n")


def handlers(pool, hook):
    """Each method of the contract, by the method of `hook` that is called like it."""
    found = {}
    for method in pool.FindServiceByName(SERVICE).methods:
        name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in method.name).lstrip("_")
        takes = message_factory.GetMessageClass(method.input_type)
        answers = message_factory.GetMessageClass(method.output_type)
        found[method.name] = grpc.unary_unary_rpc_method_handler(
            lambda request, context, call=getattr(hook, name), answers=answers: answers(**call(request, context)),
            request_deserializer=takes.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
    return grpc.method_handlers_generic_handler(SERVICE, found)


def main(descriptors, trusted, folder, port):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(descriptors).read_bytes()).file:
        pool.Add(file)
    keys = json.loads(pathlib.Path(trusted).read_text())["keys"]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers([handlers(pool, Storage(keys, pathlib.Path(folder)))])
    if not server.add_insecure_port(f"127.0.0.1:{port}"):
        sys.exit(f"port {port} is taken")
    server.start()
    print(f"the storage hook listens on {port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
