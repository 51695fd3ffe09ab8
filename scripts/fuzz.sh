#!/usr/bin/env bash
# fuzz.sh runs every fuzz target of the module, each for the given time (default 1m). It asks the test binaries themselves
# for their targets, so that none is forgotten.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fuzztime=${1:-1m}
case $fuzztime in
-h | --help) echo "Usage: scripts/fuzz.sh [TIME]    runs every fuzz target for TIME each, 1m unless told" && exit 0 ;;
esac

# Only packages that have a target: listing builds the test binary of each.
mapfile -t packages < <(grep -rl --include='*_test.go' --exclude-dir={node_modules,.tools} '^func Fuzz' . | xargs -r -n1 dirname | sort -u)
count=0 failed=()
for package in "${packages[@]}"; do
	listed=$(go test -list '^Fuzz' "$package")
	for target in $(grep '^Fuzz' <<<"$listed"); do
		count=$((count + 1))
		echo "== $package $target for $fuzztime"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$package" || failed+=("$package $target")
	done
done

if [ ${#failed[@]} -gt 0 ]; then
	printf 'failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo "fuzzed $count targets for $fuzztime each"
[ "$count" -gt 0 ]
