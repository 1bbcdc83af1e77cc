"""A stock gRPC client with the published service config, which calls until it is told to stop: Python's grpcio.

    load.py CONFIG CRM TOKEN

CONFIG is the service config's file, CRM gRPC's name for every replica (ipv4:127.0.0.1:1,127.0.0.1:2), TOKEN a user's. A
line is written for every person that was made, read and listed. The first call that fails ends the program with 1.
"""

import pathlib
import signal
import sys

from tour import Service, added, same


def load(config, crm_name, token):
    # Of several addresses gRPC makes an authority with a comma, which not every HTTP reads, ours among them.
    options = [("grpc.service_config", pathlib.Path(config).read_text()), ("grpc.default_authority", "crm")]
    crm = Service(crm_name, options=options)
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    while not told:
        person = added(crm, token, "Grace")
        for _ in range(3):
            same(crm.call("tenantry.crm.v1.PersonService/GetPerson", {"id": person.id}, token), person)
        crm.call("tenantry.crm.v1.PersonService/ListPeople", {"page_size": 5}, token)
        print("once more", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    load(*sys.argv[1:])
