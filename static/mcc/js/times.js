// Relative times go on: <time datetime data-rel>. The words must agree with mcc/core/templatetags/look.py.
const STEPS = [[60, 's', 1], [3600, 'm', 60], [86400, 'h', 3600], [7 * 86400, 'd', 86400]];

export function relative(seconds) {
  const age = Math.abs(seconds);
  if (age < 10) return 'now';
  const step = STEPS.find(([below]) => age < below);
  return step ? `${Math.floor(age / step[2])}${step[1]}` : null;
}

function refresh() {
  for (const time of document.querySelectorAll('time[data-rel]')) {
    const text = relative((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (text && time.textContent !== text) time.textContent = text;
  }
  for (const time of document.querySelectorAll('time[data-elapsed]')) {
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000));
    time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
}

setInterval(() => { if (!document.hidden) refresh(); }, 1000);
document.addEventListener('visibilitychange', refresh);
