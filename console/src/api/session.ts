// The one place that knows how the console proves who is asking. People sign in: the secret of their session lies in a cookie that
// no script can read, and the local storage, which all tabs share, holds a mark that there is one. Who brings a token has it in the
// tab's session storage instead: it ends with the tab, and it is never part of an address or a log line.

const tokenKey = 'holdfast.token'
const setupKey = 'holdfast.setup'

type Listener = () => void
const listeners = new Set<Listener>()

/** Says that somebody signed in with a password: the cookie proves it. No token looks like it. */
const cookieMark = 'cookie'

export const session = {
  /** What is kept while somebody is signed in: a token, or the mark for the cookie; null when nobody is. */
  token(): string | null {
    return sessionStorage.getItem(tokenKey) ?? localStorage.getItem(tokenKey)
  },
  byCookie(): boolean {
    return session.token() === cookieMark
  },
  /** The token to send; null when the cookie is sent. */
  bearer(): string | null {
    return session.byCookie() ? null : session.token()
  },
  begin(token: string): void {
    sessionStorage.setItem(tokenKey, token)
    sessionStorage.removeItem(setupKey)
    notify()
  },
  beginWithCookie(): void {
    sessionStorage.removeItem(tokenKey)
    sessionStorage.removeItem(setupKey)
    localStorage.setItem(tokenKey, cookieMark)
    notify()
  },
  end(): void {
    if (session.byCookie()) localStorage.removeItem(tokenKey)
    sessionStorage.removeItem(tokenKey)
    notify()
  },
  /** Calls listener whenever somebody signs in or out; the result ends that. */
  subscribe(listener: Listener): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
}

// Signing in or out in another tab holds here, too.
if (typeof window !== 'undefined') {
  window.addEventListener('storage', (event) => {
    if (event.key === tokenKey) notify()
  })
}

function notify(): void {
  for (const listener of listeners) listener()
}

/**
 * Takes the secret of a one-time link out of the address, so that it stays neither in the bar nor in the history, and keeps
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

/** Takes what the server said of a sign-in that it refused after the provider; empty when it said nothing. */
export function takeRefusal(): string {
  const name =
    location.protocol === 'https:'
      ? '__Host-holdfast_refusal'
      : `holdfast_refusal${location.port && `_${location.port}`}`
  const found = document.cookie.split('; ').find((cookie) => cookie.startsWith(`${name}=`))
  if (!found) return ''
  // biome-ignore lint/suspicious/noDocumentCookie: not every browser has the Cookie Store API
  document.cookie = `${name}=; Path=/; Max-Age=0; SameSite=Strict${location.protocol === 'https:' ? '; Secure' : ''}`
  try {
    return decodeURIComponent(found.slice(name.length + 1))
  } catch {
    return ''
  }
}
