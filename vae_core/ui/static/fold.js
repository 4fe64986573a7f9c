// On a phone what is secondary is folded to its heading, until a visitor opens it; elsewhere it stands open.

export const isPhone = window.matchMedia("(max-width: 640px)");

/** Folds a <details> of the class "fold" on a phone, and keeps its heading from folding it elsewhere. */
export function foldOnPhones(details) {
  const follow = () => {
    details.open = !isPhone.matches;
    details.querySelector("summary").tabIndex = isPhone.matches ? 0 : -1;
  };
  isPhone.addEventListener("change", follow);
  follow();
}
