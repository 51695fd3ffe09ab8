import { Check, Copy } from 'lucide-react'
import { type ComponentProps, useEffect, useState } from 'react'
import { toast } from 'sonner'
import { Button } from './button'

/** Puts text on the clipboard. Pages that did not come over HTTPS or from this machine have no clipboard of their own. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.readOnly = true
  area.className = 'fixed -left-full'
  // Inside an open dialog the focus may not leave it.
  const home = document.querySelector('[role=dialog]') ?? document.body
  home.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  if (!done) throw new Error('the browser refused to copy')
}

type Props = ComponentProps<typeof Button> & { text: string | (() => Promise<string>); label?: string }

/** Copies text, and says that it did. */
export function CopyButton({ text, label = 'Copy', children, size = 'sm', ...props }: Props) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 1600)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = async () => {
    try {
      await copyText(typeof text === 'string' ? text : await text())
      setCopied(true)
    } catch (thrown) {
      toast.error('Not copied', { description: thrown instanceof Error ? thrown.message : String(thrown) })
    }
  }
  return (
    <Button size={size} onClick={copy} aria-label={label} {...props}>
      {copied ? <Check className="text-ok" /> : <Copy />}
      {children !== undefined && (copied ? 'Copied' : children)}
      <span className="sr-only" role="status">
        {copied ? 'Copied' : ''}
      </span>
    </Button>
  )
}
