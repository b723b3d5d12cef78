// A conversation opens at its newest message and stays pinned to the end, unless the reader scrolled up:
// then a pill counts what came meanwhile: runs, steps, questions (an empty one is only about to be fetched).
// Markup: .log[data-pinned], .jump[hidden] button beside it.
const NEAR_PX = 80;
const NEWS = '.msg, .turn, .request:not(:empty)';
const log = document.querySelector('.log[data-pinned]');

if (log) {
  const jump = document.querySelector('.jump');
  let missed = 0, pinned = true;
  const end = () => scrollTo({ top: document.documentElement.scrollHeight });
  const near = () => innerHeight + scrollY >= document.documentElement.scrollHeight - NEAR_PX;

  addEventListener('scroll', () => {
    pinned = near();
    if (pinned && jump) { missed = 0; jump.hidden = true; }
  }, { passive: true });

  new MutationObserver((changes) => {
    const added = changes.flatMap((change) => [...change.addedNodes]).filter((node) => node.matches?.(NEWS)).length;
    if (pinned) { end(); return; }
    missed += added;
    if (jump && missed) { jump.hidden = false; jump.querySelector('span').textContent = `${missed} new`; }
  }).observe(log, { childList: true, subtree: true, characterData: true });

  jump?.addEventListener('click', end);
  if (!location.hash && !new URLSearchParams(location.search).has('top')) end();
}

// Drafts survive a reload: <textarea data-draft="issue-4">.
document.addEventListener('input', ({ target }) => {
  if (target.dataset?.draft) sessionStorage.setItem(`draft:${target.dataset.draft}`, target.value);
});
for (const field of document.querySelectorAll('[data-draft]')) field.value ||= sessionStorage.getItem(`draft:${field.dataset.draft}`) ?? '';
document.addEventListener('htmx:after:request', ({ detail: { ctx } }) => {
  const field = ctx.sourceElement?.querySelector?.('[data-draft]');
  if (!field || !ctx.response?.raw.ok) return;
  sessionStorage.removeItem(`draft:${field.dataset.draft}`);
  field.value = '';
});
document.addEventListener('submit', ({ target }) => {
  if (target.hasAttribute('hx-post')) return;
  for (const field of target.querySelectorAll('[data-draft]')) sessionStorage.removeItem(`draft:${field.dataset.draft}`);
});
// Enter sends, Shift+Enter breaks the line.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || !event.target.matches('.cbox textarea')) return;
  event.preventDefault();
  if (event.target.value.trim()) event.target.form.requestSubmit();
});
