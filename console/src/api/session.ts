// The one place that knows how the console proves who is asking. The token lies in the tab's session storage: it ends with
// the tab, and it is never part of an address or a log line.

const tokenKey = 'holdfast.token'
const setupKey = 'holdfast.setup'

type Listener = () => void
const listeners = new Set<Listener>()

export const session = {
  token(): string | null {
    return sessionStorage.getItem(tokenKey)
  },
  begin(token: string): void {
    sessionStorage.setItem(tokenKey, token)
    sessionStorage.removeItem(setupKey)
    notify()
  },
  end(): void {
    sessionStorage.removeItem(tokenKey)
    notify()
  },
  /** Calls listener whenever somebody signs in or out; the result ends that. */
  subscribe(listener: Listener): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
}

function notify(): void {
  for (const listener of listeners) listener()
}

/**
 * Takes the secret of the set-up link out of the address, so that it stays neither in the bar nor in the history, and keeps
 * it for the case that the page is loaded again before the secret is redeemed.
 */
export function takeSetupSecret(): string | null {
  const secret = decodeURIComponent(location.hash.slice(1))
  if (secret !== '') {
    sessionStorage.setItem(setupKey, secret)
    history.replaceState(history.state, '', location.pathname)
  }
  return sessionStorage.getItem(setupKey)
}
