// The behaviour of every page: small modules, delegated events (they survive swaps), no framework, no eval.
import './theme.js';
import './toasts.js';
import './dialogs.js';
import './keys.js';
import './rows.js';
import './palette.js';
import './tips.js';
import './copy.js';
import './times.js';
import './swaps.js';
import './live.js';
import './chat.js';
