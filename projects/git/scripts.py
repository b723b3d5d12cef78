"""What git does inside a sandbox, on a workspace whose config nobody trusts.

POSIX sh, for images without more. A hostile config can make these fail or answer nonsense, and never reaches the
host: who reads the answer treats it as the agent's own words.
"""

PRELUDE = """
g() {
    git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c commit.gpgSign=false -c core.quotePath=false \
        -c core.autocrlf=false -c pack.threads=1 "$@"
}
# Add everything to an index of our own: what the agent has staged stays as it is.
stage() {
    cp -- "$(git rev-parse --git-path index)" /tmp/mcc-index 2>/dev/null
    export GIT_INDEX_FILE=/tmp/mcc-index
    complaint=$(g add -A 2>&1 >/dev/null) && [ "${complaint#*Permission denied}" = "$complaint" ] && return
    # Git passes over a directory that it may not read; its owner may.
    chmod -R u+rwX . && complaint=$(g add -A 2>&1 >/dev/null) || { printf '%s' "$complaint" | tail -c 500; return 3; }
}
"""

# As clone --shared, but with no branch of others and no process that serves the mirror.
_CONNECT = """
git init -q --template= -b "$2" . &&
mkdir -p .git/objects/info && echo /mcc/repo.git/objects > .git/objects/info/alternates &&
git update-ref "refs/heads/$2" "$1" &&
"""

CHECK_OUT = f"""
chmod -R u+rwX . && find . -mindepth 1 -delete &&
{_CONNECT} git reset -q --hard
"""

RECONNECT = f"""
exec >/dev/null 2>&1
rm -rf .git &&
{_CONNECT} git reset -q
"""

SNAPSHOT = """
exec 2>/dev/null
stage || exit
tree=$(g write-tree) && commit=$(g commit-tree "$tree" -p "$1" -m work) || exit 4
printf '%s\\n' "$commit"
{ printf '%s\\n' "$commit"; printf '^%s\\n' "$@"; } |
    g pack-objects -q --revs --thin --stdout --delta-base-offset
"""

DIFF = """
exec 2>/dev/null
stage >/dev/null
g diff --cached --no-ext-diff --no-textconv --no-color -M --src-prefix=a/ --dst-prefix=b/ "$1"
"""

STATUS = "GIT_OPTIONAL_LOCKS=0 g status --short --untracked-files=all 2>/dev/null"

# Commits of an agent count for nothing, so one here keeps what it has not committed out of the merge's way.
BEGIN_MERGE = """
has_it() { g merge-base --is-ancestor "$1" HEAD || [ "$(g rev-parse -q --verify MERGE_HEAD)" = "$1" ]; }
if ! has_it "$1"; then
    g add -A >/dev/null 2>&1
    g commit -q --allow-empty --no-verify -m work >/dev/null 2>&1
    complaint=$(g merge -q --no-commit --no-ff "$1" 2>&1)
    has_it "$1" || { printf '%s' "$complaint"; exit 3; }
fi
g diff --name-only --diff-filter=U -z 2>/dev/null
"""

MOVE_HEAD = """
exec >/dev/null 2>&1
g update-ref "refs/heads/$2" "$1" && g symbolic-ref HEAD "refs/heads/$2" && g reset -q
"""

# Keep what the set-up added, and the list of it: whole directories where nothing in them is tracked.
SEAL = """
git ls-files --others --directory --no-empty-directory -z | tr '\\0' '\\n' | sed 's:/$::' > /tmp/paths &&
git ls-files -z > /tmp/tracked &&
xargs -0 -r rm -f -- < /tmp/tracked || exit
xargs -0 -r dirname -z -- < /tmp/tracked | sort -zu | xargs -0 -r rmdir -p --ignore-fail-on-non-empty -- 2>/dev/null
rm -rf .git .mcc && mkdir .mcc && cp /tmp/paths .mcc/paths && sed 's:^:/:' /tmp/paths > .mcc/exclude
"""

LINK = """
exec 2>/dev/null
[ -r /mcc/setup/.mcc/paths ] || exit 0
mkdir -p .git/info && cp -- /mcc/setup/.mcc/exclude .git/info/exclude
while IFS= read -r path; do
    [ -e "$path" ] || [ -L "$path" ] || [ ! -d "$(dirname -- "$path")" ] || ln -s -- "/mcc/setup/$path" "$path"
done < /mcc/setup/.mcc/paths
"""
