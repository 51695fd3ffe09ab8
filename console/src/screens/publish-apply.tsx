import { useState } from 'react'
import { publishes as api, type Publish } from '@/api/publish'
import { consentsOf, milliseconds } from '@/lib/publish'
import { Button } from '@/ui/button'
import { ProductionBar } from '@/ui/confirm'
import { Dialog } from '@/ui/dialog'
import { Checkbox, Field, Input } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'

const meanings: Record<string, string> = {
  lossy: 'Values are lost, or set aside for seven days',
  breaking: 'Running code will fail until it is changed',
}

/** Approves a rehearsed publish: each class of hazard is consented to by itself, and the project's name is typed. */
export function ApplyDialog({
  publish: p,
  onClose,
  onApplied,
}: {
  publish: Publish
  onClose: () => void
  onApplied: () => void
}) {
  const consents = consentsOf(p.report)
  const [allowed, setAllowed] = useState<string[]>([])
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const ready = typed === p.project && consents.every((c) => allowed.includes(c.allow))
  const longest = Math.max(0, ...(p.report?.blocked ?? []).flatMap((b) => [b.longest_reads, b.longest_writes]))
  const apply = async () => {
    setBusy(true)
    setError(null)
    try {
      await api.apply(p, allowed)
      onApplied()
      onClose()
    } catch (thrown) {
      setError(thrown)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && !busy && onClose()}
      title={`Apply publish ${p.number} to production?`}
      banner={<ProductionBar />}
      className="max-w-lg"
      description={
        <>
          {p.statements} {p.statements === 1 ? 'statement changes' : 'statements change'} the structure of {p.project}
          /production. A checkpoint is made first; what fails in the middle is taken back.{' '}
          {longest > 0 &&
            `Users of production wait ${milliseconds(longest)} at most, as far as the rehearsal can tell.`}
        </>
      }
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="danger" busy={busy} disabled={!ready} onClick={apply}>
            Approve and apply
          </Button>
        </>
      }
    >
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          if (ready && !busy) apply()
        }}
      >
        {consents.map((c) => (
          <Checkbox
            key={c.allow}
            checked={allowed.includes(c.allow)}
            onCheckedChange={(on) => setAllowed(on ? [...allowed, c.allow] : allowed.filter((a) => a !== c.allow))}
            label={meanings[c.allow] ?? c.allow}
            hint={c.reasons.join('; ')}
          />
        ))}
        <Field label={`Type ${p.project} to go on`}>
          {(ids) => <Input {...ids} value={typed} onChange={(e) => setTyped(e.target.value)} />}
        </Field>
        {error !== null && <ErrorNotice error={error} />}
      </form>
    </Dialog>
  )
}
