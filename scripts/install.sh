#!/usr/bin/env bash
# install.sh installs what Holdfast needs on Debian and Ubuntu, and only what is missing. See --help.
set -euo pipefail

readonly versitygw_version=v1.8.0
readonly staticcheck_version=v0.8.2

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root tools=$root/.tools

usage() {
	cat <<'USAGE'
Usage: scripts/install.sh [WHAT]...

Installs what is missing and leaves alone what is there. Asks nothing; packages are installed with apt-get, through sudo
when not root. A second run finds everything and changes nothing.

What:
  run     what Holdfast needs to run (the default): PostgreSQL server, client programs and contrib extensions, xfsprogs
  test    what the tests need besides: pgbouncer, the PostgreSQL JDBC driver where there is a Java, an S3 server
          (versitygw), the Node.js clients and a browser driver in .tools, Chromium where there is a Node.js. Each of these
          may fail: the tests that need it then skip
  lint    staticcheck in .tools

  --check  say what is missing, install nothing; exit with 1 when something is
  --help   this text

Debian's PostgreSQL packages make and start a server of their own on port 5432 when they are first installed, and
pgbouncer starts one on 6432, the port of Holdfast's front door. While this script installs them, neither happens; what is
already installed or running is left as it is.
USAGE
}

say() { printf 'install: %s\n' "$*"; }
warn() { printf 'install: %s\n' "$*" >&2; }

has() { PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin command -v "$1" >/dev/null 2>&1; }

has_server() {
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || has postgres ||
		{ has pg_config && [ -x "$(pg_config --bindir)/postgres" ]; }
}

has_contrib() {
	compgen -G '/usr/share/postgresql/*/extension/pg_stat_statements.control' >/dev/null ||
		{ has pg_config && [ -e "$(pg_config --sharedir)/extension/pg_stat_statements.control" ]; }
}

# missing_packages prints the Debian packages that the given part still needs, one on a line.
missing_packages() {
	case $1 in
	run)
		has_server || echo postgresql
		{ has psql && has pg_dump && has pgbench; } || echo postgresql-client
		has_server && ! has_contrib && echo postgresql-contrib
		has mkfs.xfs || echo xfsprogs
		;;
	test)
		has pgbouncer || echo pgbouncer
		if has node && ! { has chromium || has chromium-browser || has google-chrome; }; then echo chromium; fi
		if has java && [ ! -e /usr/share/java/postgresql.jar ]; then echo libpostgresql-jdbc-java; fi
		;;
	esac
	return 0
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo -- "$@"
	else
		sudo -n -- "$@"
	fi
}

# without_services runs a command as root while packages can neither make a PostgreSQL cluster nor start a service, and
# takes both arrangements away again, also when it is interrupted.
without_services() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	as_root env DEBIAN_FRONTEND=noninteractive bash -euc '
		cluster=/etc/postgresql-common/createcluster.d/holdfast-install.conf policy=/usr/sbin/policy-rc.d
		made=("$cluster")
		trap "rm -f \"\${made[@]}\"; rmdir /etc/postgresql-common/createcluster.d /etc/postgresql-common 2>/dev/null || true" EXIT
		trap "exit 130" INT TERM
		mkdir -p "${cluster%/*}"
		echo "create_main_cluster = false" >"$cluster"
		if [ ! -e $policy ]; then
			made+=("$policy")
			printf "#!/bin/sh\nexit 101\n" >$policy
			chmod 0755 $policy
		fi
		"$@"
		if [[ " $* " == *" pgbouncer "* && -d /run/systemd/system ]]; then systemctl disable --quiet pgbouncer || true; fi
	' without_services "$@"
}

install_packages() {
	if ! has apt-get; then
		warn "missing: $*. This script knows only apt-get; install them with your system's package manager"
		return 1
	fi
	if [ "$(id -u)" != 0 ] && ! has sudo; then
		warn "missing: $*. Installing needs root and there is no sudo; as root run $root/scripts/install.sh, or apt-get install $*"
		return 1
	fi
	say "installing with apt-get: $* (no PostgreSQL cluster is made and no service started)"
	# Lists that are too old name packages that are gone; those of a fresh container are empty.
	as_root apt-get -qq update || warn "apt-get update did not succeed; going on with the lists that are there"
	without_services apt-get -qq -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold --no-install-recommends install "$@" </dev/null
}

# go_tool installs one program at an exact version into .tools, outside the product's go.mod.
go_tool() {
	local name=$1 package=$2 version=$3
	local stamp=$tools/.$name-$version
	[ -x "$tools/$name" ] && [ -e "$stamp" ] && return 0
	say "building $name $version into .tools (once)"
	mkdir -p "$tools"
	# From an empty folder: the module of this clone must not decide the tool's dependencies.
	(cd "$tools" && GOFLAGS='' GOBIN=$tools CGO_ENABLED=0 go install "$package@$version") || return 1
	rm -f "$tools/.$name-"*
	touch "$stamp"
}

# node_packages installs what a folder's lock file names into a folder of .tools.
node_packages() {
	local from=$root/$1 to=$tools/$2 what=$3
	has npm || { warn "there is no npm: the tests of $what will skip"; return 0; }
	cmp -s "$from/package-lock.json" "$to/.installed" && return 0
	say "installing $what into .tools/$2 (once)"
	rm -rf "$to" && mkdir -p "$to" && cp "$from/package.json" "$from/package-lock.json" "$to/"
	(cd "$to" && npm ci --no-audit --no-fund --loglevel=error </dev/null) || return 1
	cp "$from/package-lock.json" "$to/.installed"
}

optional() {
	"$@" || warn "could not install $2; the tests that need it will skip"
}

install_part() {
	local packages
	mapfile -t packages < <(missing_packages "$1")
	case $1 in
	run) if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi ;;
	test)
		local p
		for p in "${packages[@]}"; do optional install_packages "$p"; done
		optional go_tool versitygw github.com/versity/versitygw/cmd/versitygw $versitygw_version
		node_packages test/clients/node node 'the Node.js clients' || warn "could not install the Node.js clients; the tests that need them will skip"
		node_packages test/console browser 'the browser driver' || warn "could not install the browser driver; the tests of the console will skip"
		;;
	lint) go_tool staticcheck honnef.co/go/tools/cmd/staticcheck $staticcheck_version ;;
	esac
}

check_part() {
	local packages
	mapfile -t packages < <(missing_packages "$1")
	case $1 in
	test)
		[ -x "$tools/versitygw" ] || packages+=(.tools/versitygw)
		[ -e "$tools/node/.installed" ] || packages+=(.tools/node)
		[ -e "$tools/browser/.installed" ] || packages+=(.tools/browser)
		;;
	lint) [ -x "$tools/staticcheck" ] || packages+=(.tools/staticcheck) ;;
	esac
	[ ${#packages[@]} = 0 ] && return 0
	say "missing for $1: ${packages[*]}"
	return 1
}

main() {
	local action=install_part parts=() result=0 part
	for part in "$@"; do
		case $part in
		--help | -h) usage && exit 0 ;;
		--check) action=check_part ;;
		run | test | lint) parts+=("$part") ;;
		*) usage >&2 && exit 2 ;;
		esac
	done
	[ ${#parts[@]} -gt 0 ] || parts=(run)
	for part in "${parts[@]}"; do "$action" "$part" || result=1; done
	exit $result
}

main "$@"
