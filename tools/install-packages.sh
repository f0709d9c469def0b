#!/usr/bin/env bash
# Installs the Debian packages that a purpose needs, and nothing else:
#   tools/install-packages.sh venv|demo|test
# Nothing that it brings is started, enabled at boot, or given a database cluster. Where it may not
# install, it says what is missing and how to get it, and ends with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/progress.sh
. tools/progress.sh

policy=/usr/sbin/policy-rc.d
saved_policy=$policy.before-passerelle
mark="# written by Passerelle's tools/install-packages.sh"
cluster_settings=/etc/postgresql-common/createcluster.d/passerelle.conf

installed() {
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q ' installed$'
}

# The mail server that is here already, unless that is Postfix.
other_mail_server() {
    # shellcheck disable=SC2016  # dpkg-query fills these in
    dpkg-query -W -f='${Package}|${Status}|${Provides}\n' |
        awk -F'|' '$2 ~ / installed$/ && $3 ~ /mail-transport-agent/ && $1 != "postfix" && !n++ { print $1 }'
}

# Sets `wanted`.
choose() {
    case $1 in
        venv) wanted=(python3-venv) ;;
        demo) wanted=(prosody) ;;
        test)
            wanted=(prosody prosody-modules ejabberd dovecot-imapd dovecot-lmtpd postgresql)
            wanted+=(profanity tmux chromium) # chat programs that the walks drive
            wanted+=(radicale) # an address book to read from
            command -v npm >/dev/null || wanted+=(npm) # fetches Twilio's description of its API
            choose_postfix
            ;;
        *)
            echo "usage: $0 venv|demo|test" >&2
            exit 2
            ;;
    esac
}

choose_postfix() {
    local other
    other=$(other_mail_server)
    if [ -n "$other" ]; then
        echo "$other is this machine's mail server and stays it: Postfix is left out, its tests are skipped."
    elif [ "$(id -u)" -eq 0 ] || installed postfix; then
        wanted+=(postfix)
    else
        echo "Postfix runs as root only: without root its tests are skipped."
    fi
}

# Runs this script again as root if sudo asks for no password; otherwise explains, and ends.
become_root() {
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        exec sudo -n "$PWD/tools/install-packages.sh" "$purpose"
    fi
    cat >&2 <<TEXT
These Debian packages are missing: ${missing[*]}
Either, as root (starts no service, enables none):
    $PWD/tools/install-packages.sh $purpose
or by hand (Debian then starts the servers that come with it):
    apt-get install --no-install-recommends ${missing[*]}
TEXT
    exit 1
}

boot_links() {
    find /etc/systemd/system /etc/rc?.d -type l 2>/dev/null | sort
}

hold_services() {
    if [ -e "$policy" ] && ! grep -q "$mark" "$policy"; then
        mv "$policy" "$saved_policy"
    fi
    printf '#!/bin/sh\n%s, for the time of one installation\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
    if [ ! -d /etc/postgresql ]; then
        mkdir -p "$(dirname "$cluster_settings")"
        echo "create_main_cluster = false" >"$cluster_settings"
    fi
    links_before=$(boot_links)
}

release_services() {
    rm -f "$policy" "$cluster_settings"
    if [ -e "$saved_policy" ]; then
        mv "$saved_policy" "$policy"
    fi
}

# Takes back what the installation linked into the boot sequence, by systemd's and by the older way.
disable_new_services() {
    local link name
    comm -13 <(printf '%s\n' "$links_before") <(boot_links) | while read -r link; do
        name=$(basename "$link")
        case $link in
            */systemd-* | */dbus*) ;; # part of an init system that came along, no server
            /etc/systemd/system/*.wants/*)
                echo "  not started at boot: $name"
                systemctl disable "$name" >/dev/null 2>&1 || rm -f "$link"
                ;;
            /etc/rc?.d/S*)
                update-rc.d "${name:3}" disable >/dev/null 2>&1 || true
                ;;
        esac
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

# `apt-get update` only where the lists are missing or name archives that are gone by now.
fetch_archives() {
    local package
    for package in "${missing[@]}"; do
        if ! apt-cache show "$package" >/dev/null 2>&1; then
            progress "Reading Debian's package lists" apt update
            break
        fi
    done
    progress "Fetching ${missing[*]}" apt install --no-install-recommends --download-only --yes "${missing[@]}" ||
        { progress "Reading Debian's package lists" apt update &&
            progress "Fetching ${missing[*]}" apt install --no-install-recommends --download-only --yes "${missing[@]}"; }
}

purpose=${1:-}
choose "$purpose"
if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: please install what these packages hold yourself: ${wanted[*]}"
    exit 0
fi
missing=()
for package in "${wanted[@]}"; do
    installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
[ "$(id -u)" -eq 0 ] || become_root

fetch_archives
trap release_services EXIT
hold_services
if [[ " ${missing[*]} " == *" postfix "* ]]; then
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
fi
progress "Installing ${missing[*]} (no service is started)" \
    apt install --no-install-recommends --yes "${missing[@]}"
disable_new_services
