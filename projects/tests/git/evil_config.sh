# Run inside a sandbox, with CANARY set: configures every way to execute that git has.
# It refuses to run anywhere else.
[ "$(pwd)" = /workspace ] && [ -n "$CANARY" ] && [ -f /workspace/.git/HEAD ] || exit 9
printf '#!/bin/sh\ntouch %s 2>/dev/null; touch /workspace/INSIDE; cat\n' "$CANARY" > evil.sh
chmod +x evil.sh
evil=/workspace/evil.sh
mkdir -p .git/hooks hk .git/info
for hook in pre-commit post-commit post-checkout post-index-change reference-transaction pre-push; do
    cp evil.sh .git/hooks/$hook
    cp evil.sh hk/$hook
done
for key in core.fsmonitor core.sshCommand core.pager core.alternateRefsCommand core.editor gpg.program \
    filter.e.clean filter.e.smudge filter.p.process diff.external diff.e.textconv diff.e.command merge.e.driver \
    trailer.e.cmd uploadpack.packObjectsHook credential.helper; do
    git config $key $evil
done
git config core.hooksPath hk
git config commit.gpgSign true
git config log.showSignature true
git config include.path ../evil.inc
git config remote.origin.url "ext::$evil"
printf '[core]\n\tfsmonitor = %s\n' $evil > evil.inc
printf '* filter=e diff=e merge=e\n*.py filter=p\n' > .gitattributes
cp .gitattributes .git/info/attributes
echo changed >> README.md
git status > /dev/null 2>&1
