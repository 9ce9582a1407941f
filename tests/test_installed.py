"""What a built copy of the packages holds beside their modules."""

import subprocess
import sys
from pathlib import Path

import hat

ROOT = Path(hat.__file__).parent.parent


def test_pages_find_their_templates_in_a_built_copy(tmp_path):
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True)
    templates = {path.relative_to(ROOT) for path in ROOT.glob("*/report/templates/*")}
    assert len({path.parts[0] for path in templates}) == 3
    for template in templates:
        assert (tmp_path / template).read_bytes() == (ROOT / template).read_bytes()
    names = [(f"{path.parts[0]}.report", path.name) for path in templates if path.suffix == ".html"]
    script = f"import hat.report.page as page\nfor name in {names}: page.environment(name[0]).get_template(name[1])"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True)
