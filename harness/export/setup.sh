# Makes the harness ready. Everything that differs comes in variables:
#   HARNESS_REQUIREMENT    what pip installs        HARNESS_VERSION  the version that must come of it
#   HARNESS_MATRIX_SHA256  what the matrix must be  HARNESS_RUNTIME  docker, or local
#   HARNESS_MODULES        what the Python must hold, for the runtime local
# Optional: HARNESS_HOME (a folder), HARNESS_MATRIX (a file), HARNESS_PYTHON (an interpreter).
set -euo pipefail
home="${HARNESS_HOME:-$HOME/harness-export}"
matrix="${HARNESS_MATRIX:-$home/matrix.yaml}"
requirement="${HARNESS_REQUIREMENT/#\~\//$HOME/}" # pip does not know what ~ is

fail() {
  printf 'error: %s\n  try: %s\n' "$1" "$2" >&2
  exit 3
}

echo "$HARNESS_MATRIX_SHA256  $matrix" | sha256sum --check --quiet - ||
  fail "$matrix is not the matrix that was exported" "export it again"

# The first Python that is new enough, has pip, and holds the framework where no image will bring it.
suits() {
  local asked=$1
  shift
  "$asked" -c '
import importlib.util, sys
missing = [name for name in ("pip", *sys.argv[1:]) if importlib.util.find_spec(name) is None]
sys.exit(sys.version_info < (3, 10) or bool(missing))' "$@" 2>/dev/null
}
python=""
for candidate in "${HARNESS_PYTHON:-}" python3 python /usr/bin/python3 /usr/local/bin/python3 \
  python3.13 python3.12 python3.11 python3.10; do
  found="$(command -v "$candidate" 2>/dev/null)" || continue
  # shellcheck disable=SC2086 # words on purpose
  if suits "$found" ${HARNESS_MODULES:-}; then
    python="$found"
    break
  fi
done
[ -n "$python" ] ||
  fail "no Python 3.10 or later here has pip ${HARNESS_MODULES:-}" "name one: HARNESS_PYTHON=/path/python3"

if [ "$HARNESS_RUNTIME" = docker ] && ! docker info >/dev/null 2>&1; then
  fail "Docker does not answer to $(id -un)" "install it and NVIDIA's container toolkit, or add the user to the group docker"
fi

# Into a folder of its own: nothing that the machine or the image brought changes, and pins that an
# image's builder set for its own packages do not apply.
env -u PIP_CONSTRAINT "$python" -m pip install --quiet --disable-pip-version-check \
  --no-warn-conflicts --no-compile --upgrade --target "$home/site" "$requirement"
told="$(PYTHONPATH="$home/site" "$python" -m harness --version)"
[ "$told" = "harness $HARNESS_VERSION" ] ||
  fail "$requirement is $told, and the export is of harness $HARNESS_VERSION" \
    "name that version: another one may measure another benchmark"
printf '%s\n' "$python" >"$home/python"
echo "$told is ready, with $python"
