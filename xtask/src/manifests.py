"""Reads what is in deploy/ as its tools will: every YAML file, every Kubernetes object against the schemas of the oldest and
the newest version that it is meant for, and what every pod of ours has to be. Says all that is wrong, and exits with 1.

Then checkov looks at the same objects and the Dockerfile, by deploy/checkov.yaml.

Overlays are rendered where kubectl or kustomize is at hand. Without them each file is checked as it is, and that every file
that a kustomization names is there.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

# The oldest has the sleep before a stop by default.
VERSIONS = ("1.30.0", "1.37.0")
# Objects whose schemas are the mesh's.
FOREIGN = ("networking.istio.io/", "security.istio.io/", "kustomize.config.k8s.io/")

problems = []


def wrong(where, what):
    problems.append(f"{where}: {what}")


class Strict(yaml.SafeLoader):
    """One that does not let the second of two equal keys win."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    doubles = {str(key) for key in keys if keys.count(key) > 1}
    if doubles:
        raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(doubles)}", node.start_mark)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def read(text, where):
    try:
        return [document for document in yaml.load_all(text, Strict) if document is not None]
    except yaml.YAMLError as error:
        wrong(where, error)
        return []


def named(kustomization, folder, where):
    """The files that a kustomization names, which have to be there."""
    patches = [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
    files = []
    for name in kustomization.get("resources", []) + kustomization.get("components", []) + patches:
        path = folder / name
        if path.is_dir():
            path = path / "kustomization.yaml"
        if not path.is_file():
            wrong(where, f"names {name}, which is not there")
        elif path.name != "kustomization.yaml":
            files.append(path)
    return files


def check(document, where):
    """One object, by its schema."""
    where = f"{where}: {document.get('kind')} {document.get('metadata', {}).get('name')}"
    if document.get("apiVersion", "").startswith(FOREIGN):
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            wrong(where, f"{version}: {place}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            wrong(where, error.message)
    if document.get("kind") == "Secret":
        wrong(where, "a secret's value has no place in the tree")
    pod = document.get("spec", {}).get("template", {}).get("spec")
    if pod is not None:
        check_pod(pod, document["kind"], where)


def check_pod(pod, kind, where):
    security = pod.get("securityContext", {})
    facts = {
        "runs as root": not security.get("runAsNonRoot") or not security.get("runAsUser"),
        "has no seccomp profile": security.get("seccompProfile") != {"type": "RuntimeDefault"},
        "has the token of its account": pod.get("automountServiceAccountToken") is not False,
        "gets variables named after services": pod.get("enableServiceLinks") is not False,
        "has no account of its own": "serviceAccountName" not in pod,
    }
    for container in pod.get("containers", []):
        security = container.get("securityContext", {})
        asked = container.get("resources", {}).get("requests", {})
        facts |= {
            "may raise its privileges": security.get("allowPrivilegeEscalation") is not False,
            "may write to its root file system": security.get("readOnlyRootFilesystem") is not True,
            "has capabilities": security.get("capabilities") != {"drop": ["ALL"]},
            "asks for no resources": not {"cpu", "memory"} <= asked.keys(),
            "has no limit of memory": "memory" not in container.get("resources", {}).get("limits", {}),
        }
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            ways = {"exec", "grpc", "httpGet", "tcpSocket"} & container.get(probe, {}).keys()
            facts[f"has {len(ways)} ways of its {probe}"] = kind == "Deployment" and len(ways) != 1
        for variable in container.get("env", []):
            secret = variable["name"].endswith(("_URL", "_KEY", "_PASSWORD", "MIGRATOR_DATABASE_SERVERS"))
            facts[f"{variable['name']} is in the tree"] = secret and "valueFrom" not in variable
    for what, is_so in facts.items():
        if is_so:
            wrong(where, what)


def render(folder):
    """What the folder's kustomization makes; nothing where no program can tell."""
    programs = {"kubectl": ["kubectl", "kustomize"], "kustomize": ["kustomize", "build"]}
    words = next((words for name, words in programs.items() if shutil.which(name)), None)
    if words is None:
        return None
    made = subprocess.run([*words, str(folder)], capture_output=True, text=True)
    if made.returncode != 0:
        wrong(folder, made.stderr.strip())
    return read(made.stdout, folder)


def scan(root, objects):
    """What checkov says of these objects, by where they are from, and of the Dockerfile."""
    with tempfile.TemporaryDirectory() as folder:
        for number, documents in enumerate(objects.values()):
            (pathlib.Path(folder) / f"{number}.yaml").write_text(yaml.safe_dump_all(documents))
        shutil.copy(root / "images/Dockerfile", folder)
        checkov = pathlib.Path(sys.executable).with_name("checkov")
        words = [checkov, "--directory", folder, "--config-file", root / "checkov.yaml"]
        said = subprocess.run(words, capture_output=True, text=True)
    if said.returncode != 0:
        wrong("checkov", (said.stdout + said.stderr).strip())


def main(root):
    files = [*sorted(root.rglob("*.yaml")), *sorted(root.rglob("*.yml"))]
    # Envoy's has names to fill in before it is YAML.
    files = [path for path in files if "${" not in path.read_text() or "compose" in path.parts]
    documents = {path: read(path.read_text(), path) for path in files}
    kubernetes = root / "kubernetes"
    kustomizations = [path for path in files if path.name == "kustomization.yaml"]
    used, objects, rendered = set(), 0, {}
    for path in kustomizations:
        for kustomization in documents[path]:
            used |= {named_path.resolve() for named_path in named(kustomization, path.parent, path)}
    for path in files:
        if not path.is_relative_to(kubernetes) or path in kustomizations:
            continue
        if path.resolve() not in used:
            wrong(path, "no kustomization names it")
        for document in documents[path]:
            check(document, path)
            objects += 1
    for folder in [path.parent for path in kustomizations if "components" not in path.parts]:
        for document in render(folder) or []:
            check(document, f"{folder}, rendered")
            rendered.setdefault(folder, []).append(document)
    if not rendered:
        print("    neither kubectl nor kustomize is here: overlays were not rendered")
    scan(root, rendered or {path: documents[path] for path in files if path.is_relative_to(kubernetes)})
    print(f"    {len(files)} files, {objects} objects, {sum(map(len, rendered.values()))} rendered")
    for problem in problems:
        print(problem)
    return 1 if problems or not objects else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
