import { useEffect, useRef } from 'react'

/** One thing that can be done with the keyboard. Keys after one another are written with a space: "g p". */
export type Shortcut = { keys: string; label: string; group: string; run: () => void }

const patience = 1200

/** Whether keys belong to what has the focus rather than to the page. */
function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
}

/** Follows the keys that are pressed and says which shortcut they complete. */
export class KeySequence {
  private first = ''
  private at = 0

  press(key: string, now: number, known: readonly string[]): string | null {
    const sequence = this.first !== '' && now - this.at < patience ? `${this.first} ${key}` : key
    this.first = ''
    if (known.includes(sequence)) return sequence
    if (known.some((keys) => keys.startsWith(`${key} `))) {
      this.first = key
      this.at = now
    } else if (sequence !== key && known.includes(key)) return key
    return null
  }
}

/** Lets the page be used with the keyboard, except while somebody types or a dialog is open. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const current = useRef(shortcuts)
  current.current = shortcuts
  useEffect(() => {
    const sequence = new KeySequence()
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return
      if (typing(event.target) || document.querySelector('[role=dialog],[role=menu],[role=listbox]')) return
      const found = sequence.press(
        event.key,
        event.timeStamp,
        current.current.map((s) => s.keys),
      )
      if (found === null) return
      event.preventDefault()
      current.current.find((s) => s.keys === found)?.run()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
}
