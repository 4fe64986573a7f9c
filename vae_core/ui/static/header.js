// The header is only looked at.

export function mount() {}
