// Before the first paint: the theme that was chosen here, and whether somebody was signed in.
try {
  const theme = localStorage.getItem("contactd.theme");
  if (theme) document.documentElement.dataset.theme = theme;
  if (!localStorage.getItem("contactd.signed")) document.documentElement.dataset.out = "";
} catch { /* Storage may be forbidden; then the system's theme holds. */ }
