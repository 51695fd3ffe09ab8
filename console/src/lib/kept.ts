import { useState } from 'react'
import { session } from '@/api/session'

const prefix = 'holdfast.kept.'

/** Reads what this browser keeps for the one who is signed in. */
export function readKept<T>(key: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(prefix + key)
    return text === null ? otherwise : (JSON.parse(text) as T)
  } catch {
    return otherwise
  }
}

/** Keeps something in this browser until its user signs out. A browser that is full keeps nothing. */
export function keep(key: string, value: unknown): void {
  try {
    localStorage.setItem(prefix + key, JSON.stringify(value))
  } catch {
    // It is a convenience.
  }
}

/** Like useState, kept over reloads under the key. */
export function useKept<T>(key: string, initial: T): [T, (value: T) => void] {
  const [value, setValue] = useState(() => readKept(key, initial))
  return [
    value,
    (next: T) => {
      setValue(next)
      keep(key, next)
    },
  ]
}

// Queries may hold what is not for the next one at this machine.
session.subscribe(() => {
  if (session.token() !== null) return
  for (const key of Object.keys(localStorage)) if (key.startsWith(prefix)) localStorage.removeItem(key)
})
