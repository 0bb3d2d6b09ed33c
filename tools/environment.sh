# Sourced with `root` set to the checkout: sets `python` to the interpreter of the checkout's own environment and
# makes that environment when it is missing. Each lock has an environment of its own, so a lock change never takes
# packages away from a command that is running.

# The first line of the lock is `# lock <digest>` (see tools/lock.py).
ota_lock=
read -r _ _ ota_lock < "$root/requirements/runtime.lock"
if [ -z "$ota_lock" ]; then
    echo "ota: requirements/runtime.lock is missing or damaged: this checkout is incomplete" >&2
    return 1
fi
python=$root/.venv-ota/$ota_lock/bin/python

ota_is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1
}

ota_can_make_environments() {
    ota_is_new_enough "$1" && "$1" -c 'import venv, ensurepip' > /dev/null 2>&1
}

# The newest Python that can do the work; else the newest that is new enough, so that the refusal names what it lacks.
ota_find_python() {
    for ota_test in ota_can_make_environments ota_is_new_enough; do
        for ota_name in python3.14 python3.13 python3.12 python3.11 python3 python; do
            if command -v "$ota_name" > /dev/null 2>&1 && "$ota_test" "$ota_name"; then
                ota_base=$ota_name
                return 0
            fi
        done
    done
    return 1
}

ota_refuse_python() {
    {
        echo "ota: Python 3.11 or newer is needed"
        if [ -n "${OTA_PYTHON-}" ]; then
            echo "  Why:  OTA_PYTHON=$OTA_PYTHON is $("$OTA_PYTHON" --version 2>&1 || echo 'not a working Python')"
            echo "  Next: let OTA_PYTHON name a Python 3.11 or newer, or unset it"
        else
            ota_seen=
            for ota_name in python3 python; do
                if command -v "$ota_name" > /dev/null 2>&1; then
                    ota_seen="$ota_name is $("$ota_name" --version 2>&1)"
                    break
                fi
            done
            echo "  Why:  ${ota_seen:-no python3 is on PATH}"
            echo "  Next: install Python 3.11 or newer, or let OTA_PYTHON name one"
        fi
    } >&2
}

if ! [ -x "$python" ]; then
    if [ -n "${OTA_PYTHON-}" ]; then
        ota_base=$OTA_PYTHON
        ota_is_new_enough "$ota_base" || { ota_refuse_python; return 1; }
    else
        ota_find_python || { ota_refuse_python; return 1; }
    fi
    "$ota_base" -I "$root/tools/bootstrap.py" "$ota_lock" || return 1
fi
