"""A stock gRPC client's tour: Python's grpcio, every message made from server reflection, no .proto file.

    tour.py tour CATALOG CRM [CA CERT KEY]
                                  two companies, their people, what keeps them apart, and how refusals look; with
                                  files, over TLS
    tour.py unavailable CATALOG   a registration while the migrator is away

Addresses are host:port. The first thing that is not as it should be ends the program with 1.
"""

import pathlib
import sys
import uuid

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

TIMEOUT_S = 60
SERVING = 1  # grpc.health.v1.HealthCheckResponse.ServingStatus
PASSWORD = "correct horse battery staple"
REFLECTION = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
CATALOG_SERVICES = {
    "grpc.health.v1.Health",
    "tenantry.catalog.v1.ApiKeyService",
    "tenantry.catalog.v1.CompanyService",
    "tenantry.catalog.v1.DatabaseServerService",
    "tenantry.catalog.v1.EventService",
    "tenantry.catalog.v1.IssuerService",
    "tenantry.catalog.v1.KeyService",
    "tenantry.catalog.v1.MembershipService",
    "tenantry.catalog.v1.OperatorService",
    "tenantry.catalog.v1.PasswordService",
    "tenantry.catalog.v1.PlanService",
    "tenantry.catalog.v1.PluginService",
    "tenantry.catalog.v1.TenantDirectoryService",
    "tenantry.catalog.v1.TokenService",
}
CRM_SERVICES = {
    "grpc.health.v1.Health",
    "tenantry.crm.v1.AddressService",
    "tenantry.crm.v1.ApplianceService",
    "tenantry.crm.v1.AuditService",
    "tenantry.crm.v1.DebtService",
    "tenantry.crm.v1.DeviceService",
    "tenantry.crm.v1.ManufacturerService",
    "tenantry.crm.v1.PersonService",
    "tenantry.crm.v1.PlaceService",
    "tenantry.crm.v1.SmsService",
    "tenantry.crm.v1.TariffService",
    "tenantry.crm.v1.TicketCategoryService",
    "tenantry.crm.v1.TicketService",
    "tenantry.crm.v1.TransactionService",
    "tenantry.crm.v1.TransferService",
}


class Refused(Exception):
    """A call that was refused, with its details by type."""

    def __init__(self, error):
        self.code = error.code().name
        self.details = {}
        status = rpc_status.from_call(error)
        for any_detail in status.details if status else []:
            kind = any_detail.type_url.rsplit(".", 1)[-1]
            detail = getattr(error_details_pb2, kind)()
            expect(any_detail.Unpack(detail), f"a detail of type {any_detail.type_url} unpacks")
            self.details[kind] = detail
        super().__init__(f"{self.code}/{self.reason}: {error.details()}")

    @property
    def reason(self):
        info = self.details.get("ErrorInfo")
        return info.reason if info and info.domain == "tenantry" else None


class Service:
    """One service, known by its address alone."""

    def __init__(self, address, files=(), options=()):
        if files:
            ca, cert, key = (pathlib.Path(file).read_bytes() for file in files)
            self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert), options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def call(self, path, body, token=None):
        """Calls `package.Service/Method` with a dict, answers a message."""
        service, name = path.split("/")
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        answer, question = GetMessageClass(method.output_type), GetMessageClass(method.input_type)
        stub = self.channel.unary_unary(
            f"/{path}", request_serializer=question.SerializeToString, response_deserializer=answer.FromString
        )
        metadata = [("authorization", f"Bearer {token}")] if token else []
        try:
            return stub(question(**body), timeout=TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            raise Refused(error) from error

    def refusal(self, path, body, token=None):
        """As `call`, where a refusal is what has to come."""
        try:
            answer = self.call(path, body, token)
        except Refused as refused:
            return refused
        raise AssertionError(f"{path} answered {answer}")

    def wait_for_health(self, name):
        """A crm that has just begun is not serving before it has heard from its catalog."""
        method = self.pool.FindServiceByName("grpc.health.v1.Health").FindMethodByName("Watch")
        answer, question = GetMessageClass(method.output_type), GetMessageClass(method.input_type)
        watch = self.channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=question.SerializeToString,
            response_deserializer=answer.FromString,
        )
        statuses = watch(question(service=name), timeout=TIMEOUT_S)
        while next(statuses).status != SERVING:
            pass
        statuses.cancel()

    def services(self, reflection):
        """What one version of the reflection service lists. The versions differ in their names alone, and Python's
        library knows the older one."""
        stub = self.channel.stream_stream(
            f"/{reflection}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = stub(iter([question]), timeout=TIMEOUT_S)
        return {service.name for service in answer.list_services_response.service}


def expect(holds, what):
    if not holds:
        raise AssertionError(f"not so: {what}")


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def tour(catalog_address, crm_address, files=()):
    catalog, crm = Service(catalog_address, files), Service(crm_address, files)
    reflected(catalog, CATALOG_SERVICES)
    reflected(crm, CRM_SERVICES)
    healthy(catalog, "tenantry.catalog.v1.CompanyService")
    healthy(crm, "tenantry.crm.v1.PersonService")
    ada = signed_in(catalog, "Sunrise Energy")
    bob = signed_in(catalog, "Robert'); DROP TABLE \"people\";-- 電力")
    apart(crm, ada, bob)
    # Without a token it is the certificate that is asked, and nobody has said whose this one is.
    refusals(catalog, crm, ada, "CERTIFICATE_UNKNOWN" if files else "TOKEN_MISSING")


def reflected(service, wanted):
    for reflection in REFLECTION:
        listed = service.services(reflection)
        expect(wanted <= listed, f"{reflection} lists {wanted - listed}")
        others = {name for name in listed - wanted if not name.startswith("grpc.reflection.")}
        same(others, set())
    print("reflection v1 and v1alpha list", len(wanted), "services")


def healthy(service, name):
    for asked in [name, ""]:
        service.wait_for_health(asked)
        same(service.call("grpc.health.v1.Health/Check", {"service": asked}).status, SERVING)
    same(service.refusal("grpc.health.v1.Health/Check", {"service": "no.such.Service"}).code, "NOT_FOUND")
    print(name, "is SERVING")


def registration(name):
    return {
        "name": name,
        "owner_email": f"u{uuid.uuid4().hex}@example.com",
        "owner_password": PASSWORD,
        "request_id": str(uuid.uuid4()),
    }


def signed_in(catalog, name):
    request = registration(name)
    company = catalog.call("tenantry.catalog.v1.CompanyService/RegisterCompany", request)
    states = company.DESCRIPTOR.fields_by_name["state"].enum_type
    same(states.values_by_number[company.state].name, "COMPANY_STATE_ACTIVE")
    same(company.name, name)
    again = catalog.call("tenantry.catalog.v1.CompanyService/RegisterCompany", request)
    same(again.id, company.id)
    credentials = {"email": request["owner_email"], "password": PASSWORD}
    login = catalog.call("tenantry.catalog.v1.TokenService/Login", credentials)
    same(login.company_id, company.id)
    print(company.slug, "is ACTIVE, and its owner signed in")
    return login.access_token


def apart(crm, ada, bob):
    grace = added(crm, ada, "Grace")
    alan = added(crm, bob, "Alan")
    for token, own, other in [(ada, grace, alan), (bob, alan, grace)]:
        same(crm.call("tenantry.crm.v1.PersonService/GetPerson", {"id": own.id}, token), own)
        listed = crm.call("tenantry.crm.v1.PersonService/ListPeople", {}, token).people
        same([person.id for person in listed], [own.id])
        refused = crm.refusal("tenantry.crm.v1.PersonService/GetPerson", {"id": other.id}, token)
        same((refused.code, refused.reason), ("NOT_FOUND", "PERSON_NOT_FOUND"))
    print("neither company sees the other's people")


def added(crm, token, name):
    request = {"person": {"name": name, "labels": {"tier": "gold"}}, "request_id": str(uuid.uuid4())}
    person = crm.call("tenantry.crm.v1.PersonService/CreatePerson", request, token)
    same((person.name, dict(person.labels)), (name, {"tier": "gold"}))
    return person


def refusals(catalog, crm, token, nobody):
    broken = {"name": " ", "owner_email": "nobody", "owner_password": "short"}
    refused = catalog.refusal("tenantry.catalog.v1.CompanyService/RegisterCompany", broken)
    same((refused.code, refused.reason), ("INVALID_ARGUMENT", "FIELD_VIOLATIONS"))
    fields = [violation.field for violation in refused.details["BadRequest"].field_violations]
    same(fields, ["name", "owner_email", "owner_password"])
    same(len(refused.details["RequestInfo"].request_id), 32)

    refused = crm.refusal("tenantry.crm.v1.PersonService/ListPeople", {})
    same((refused.code, refused.reason), ("UNAUTHENTICATED", nobody))
    refused = crm.refusal("tenantry.crm.v1.PersonService/ListPeople", {}, forged(token))
    same((refused.code, refused.reason), ("UNAUTHENTICATED", "TOKEN_INVALID"))
    print("refusals say what to correct, and who is asked for")


def forged(token):
    head, signature = token.rsplit(".", 1)
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def unavailable(catalog_address):
    catalog = Service(catalog_address)
    request = registration("Early")
    refused = catalog.refusal("tenantry.catalog.v1.CompanyService/RegisterCompany", request)
    same((refused.code, refused.reason), ("UNAVAILABLE", "MIGRATOR_UNAVAILABLE"))
    delay = refused.details["RetryInfo"].retry_delay
    expect(delay.ToMilliseconds() > 0, f"a delay to wait, not {delay}")
    uuid.UUID(refused.details["ErrorInfo"].metadata["company_id"])
    same(len(refused.details["RequestInfo"].request_id), 32)
    print("a registration without the migrator is told when to come back")


def main(words):
    match words:
        case ["tour", catalog, crm]:
            tour(catalog, crm)
        case ["tour", catalog, crm, ca, cert, key]:
            tour(catalog, crm, (ca, cert, key))
        case ["unavailable", catalog]:
            unavailable(catalog)
        case _:
            sys.exit(__doc__)
    print("the tour is over")


if __name__ == "__main__":
    main(sys.argv[1:])
