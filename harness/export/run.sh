# Measures the matrix, after set-up. Further variables:
#   HARNESS_NEEDS_GPU      1: end where no GPU is seen, instead of measuring the processor
#   HARNESS_SELECTION      words for the command, a line each, such as --only and id=…
#   HARNESS_RESULTS        the folder of the runs; default: results in HARNESS_HOME
#   HARNESS_PRINT_RESULTS  1: print the runs as an archive when all is over
# Ends with the harness's exit code: 0 every case completed, 1 some did not (a result, too).
set -euo pipefail
home="${HARNESS_HOME:-$HOME/harness-export}"
matrix="${HARNESS_MATRIX:-$home/matrix.yaml}"
results="${HARNESS_RESULTS:-$home/results}"
python="$(cat "$home/python")"

if [ "${HARNESS_NEEDS_GPU:-1}" = 1 ] && ! nvidia-smi -L; then
  printf 'error: no GPU is seen here\n  try: look at nvidia-smi, then start it again\n' >&2
  exit 3
fi
selection=()
if [ -n "${HARNESS_SELECTION:-}" ]; then
  mapfile -t selection <<<"$HARNESS_SELECTION"
fi
ended=0
PYTHONPATH="$home/site" "$python" -m harness matrix "$matrix" --runtime "$HARNESS_RUNTIME" \
  --results "$results" "${selection[@]}" || ended=$?
if [ "${HARNESS_PRINT_RESULTS:-0}" = 1 ]; then
  echo '-----BEGIN HARNESS RESULTS-----'
  tar -C "$results" -czf - . | base64
  echo '-----END HARNESS RESULTS-----'
fi
exit "$ended"
