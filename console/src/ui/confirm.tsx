import { type ReactNode, useState } from 'react'
import { Button } from './button'
import { Dialog } from './dialog'
import { Field, Input } from './field'
import { ErrorNotice } from './pieces'

type Props = {
  open: boolean
  onOpenChange: (open: boolean) => void
  title: string
  children: ReactNode
  action: string
  onConfirm: () => Promise<unknown>
  /** It concerns production, or loses something: the button is red. */
  danger?: boolean
  production?: boolean
  /** What has to be typed before the button can be pressed. */
  typed?: string
}

/** Asks before it does. The refusal of the server stays in the dialog, so that the person can read it. */
export function Confirm({ open, onOpenChange, title, children, action, onConfirm, danger, production, typed }: Props) {
  const [text, setText] = useState('')
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const ready = typed === undefined || text === typed
  const change = (next: boolean) => {
    if (busy) return
    setText('')
    setError(null)
    onOpenChange(next)
  }
  const confirm = async () => {
    setBusy(true)
    setError(null)
    try {
      await onConfirm()
      setText('')
      onOpenChange(false)
    } catch (thrown) {
      setError(thrown)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Dialog
      open={open}
      onOpenChange={change}
      title={title}
      description={children}
      banner={production ? <ProductionBar /> : undefined}
      footer={
        <>
          <Button onClick={() => change(false)}>Cancel</Button>
          <Button variant={danger || production ? 'danger' : 'primary'} busy={busy} disabled={!ready} onClick={confirm}>
            {action}
          </Button>
        </>
      }
    >
      {(typed !== undefined || error !== null) && (
        <div className="flex flex-col gap-3">
          {typed !== undefined && (
            <Field label={`Type ${typed} to go on`}>
              {(ids) => <Input {...ids} autoFocus value={text} onChange={(e) => setText(e.target.value)} />}
            </Field>
          )}
          {error !== null && <ErrorNotice error={error} />}
        </div>
      )}
    </Dialog>
  )
}

/** Says without a doubt that what follows is production. */
export function ProductionBar() {
  return <div className="bg-production-solid px-5 py-1 font-semibold text-2xs text-white tracking-wide">PRODUCTION</div>
}
