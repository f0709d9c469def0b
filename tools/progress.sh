# Sourced by the scripts beside it: runs what may take long, with a sign of life and a log for failures.

# progress LABEL COMMAND…: run it quietly, say every five seconds that it is still at it, and show the
# end of what it wrote if it fails.
progress() {
    local label=$1 log start worker status=0 waited=0
    shift
    log=$(mktemp)
    start=$SECONDS
    printf '%s …\n' "$label"
    "$@" >"$log" 2>&1 </dev/null &
    worker=$!
    while kill -0 "$worker" 2>/dev/null; do
        sleep 0.2
        waited=$((waited + 1))
        if [ $((waited % 25)) -eq 0 ]; then
            printf '  … %d s: %s\n' $((SECONDS - start)) "$(tail -n 1 "$log" | tr '\r' '\n' | tail -n 1 | cut -c1-70)"
        fi
    done
    wait "$worker" || status=$?
    if [ "$status" -ne 0 ]; then
        printf '%s failed (status %d). The end of its output:\n' "$label" "$status" >&2
        tail -n 30 "$log" >&2
    elif [ $((SECONDS - start)) -gt 2 ]; then
        printf '  done in %d s\n' $((SECONDS - start))
    fi
    rm -f "$log"
    return "$status"
}
