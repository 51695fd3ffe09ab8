import { setNonce } from 'get-nonce'

/**
 * The nonce of this page's content security policy. Style elements that libraries make must carry it; scripts made at run
 * time are never allowed.
 */
export function nonce(): string | undefined {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce || undefined
}

/** Hands the nonce to the libraries that ask for it in the agreed place. */
export function shareNonce(): void {
  const value = nonce()
  if (value) setNonce(value)
}
