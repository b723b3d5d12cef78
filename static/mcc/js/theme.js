// The server writes <html data-theme> from the cookie, so there is no flash; this switches without a reload.
// Without JavaScript the button posts its form and the page comes back in the other theme.
const root = document.documentElement;
const systemDark = matchMedia('(prefers-color-scheme: dark)');

export const isDark = () => root.dataset.theme === 'dark' || (root.dataset.theme === 'system' && systemDark.matches);

document.addEventListener('submit', (event) => {
  if (!event.target.matches('form[data-theme-form]')) return;
  event.preventDefault();
  const theme = isDark() ? 'light' : 'dark';
  root.dataset.theme = theme;
  document.cookie = `theme=${theme};path=/;max-age=31536000;samesite=lax`;
});
