import { type ReactNode, useState } from 'react'
import { branches as api } from '@/api/branches'
import { useBranchUpdate } from '@/api/queries'
import type { Branch } from '@/api/types'
import { byImportance } from '@/lib/branches'
import { Button } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'

const lives = [
  { value: '3600', label: 'One hour' },
  { value: '86400', label: 'One day' },
  { value: '604800', label: 'One week' },
  { value: '2592000', label: '30 days' },
]

type FormProps = {
  title: string
  about?: ReactNode
  action: string
  ready?: boolean
  /** It replaces or loses something: the button is red. */
  danger?: boolean
  banner?: ReactNode
  onClose: () => void
  onSubmit: () => Promise<unknown>
  children: ReactNode
}

/** A dialog with a form; what the server refuses is shown in it. */
export function FormDialog({
  title,
  about,
  action,
  ready = true,
  danger,
  banner,
  onClose,
  onSubmit,
  children,
}: FormProps) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const submit = async () => {
    setBusy(true)
    setError(null)
    try {
      await onSubmit()
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
      title={title}
      description={about}
      banner={banner}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant={danger ? 'danger' : 'primary'} busy={busy} disabled={!ready} onClick={submit}>
            {action}
          </Button>
        </>
      }
    >
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          if (ready && !busy) submit()
        }}
      >
        {children}
        {error !== null && <ErrorNotice error={error} />}
      </form>
    </Dialog>
  )
}

type NewProps = {
  project: string
  branches: Branch[]
  from?: string
  moment?: string
  onClose: () => void
  onCreated: (job: string, name: string) => void
}

export function NewBranchDialog({ project, branches, from, moment, onClose, onCreated }: NewProps) {
  const [name, setName] = useState('')
  const [parent, setParent] = useState(from ?? 'development')
  const [at, setAt] = useState(moment ?? '')
  const [life, setLife] = useState('86400')
  const [masked, setMasked] = useState(false)
  const [schemaOnly, setSchemaOnly] = useState(false)
  const production = branches.find((b) => b.name === parent)?.environment === 'production'
  return (
    <FormDialog
      title="New branch"
      action="Create branch"
      ready={name !== ''}
      onClose={onClose}
      onSubmit={async () => {
        const job = await api.create(project, {
          name,
          from: parent,
          at: at.trim() || undefined,
          life_seconds: Number(life),
          masked,
          schema_only: schemaOnly,
        })
        onCreated(job.id, name)
      }}
    >
      <Field label="Name" hint="Lower-case letters, digits, dashes and underscores, beginning with a letter.">
        {(ids) => <Input {...ids} autoFocus value={name} onChange={(e) => setName(e.target.value)} />}
      </Field>
      <Field label="Copy of">
        {(ids) => (
          <Select
            {...ids}
            value={parent}
            onValueChange={setParent}
            options={byImportance(branches.filter((b) => !b.look)).map((b) => ({ value: b.name, label: b.name }))}
          />
        )}
      </Field>
      <Field label="As of" hint="Now when left empty. A time with its zone, “10 minutes ago” or checkpoint:ID.">
        {(ids) => <Input {...ids} value={at} onChange={(e) => setAt(e.target.value)} placeholder="now" />}
      </Field>
      <Field label="Deleted after">
        {(ids) => <Select {...ids} value={life} onValueChange={setLife} options={lives} />}
      </Field>
      <Checkbox
        checked={masked}
        onCheckedChange={setMasked}
        label="Mask it"
        hint={`The project’s masking rules are applied before anybody can connect.${production ? ' Needed by whoever may not see production’s rows.' : ''}`}
      />
      <Checkbox
        checked={schemaOnly}
        onCheckedChange={setSchemaOnly}
        label="Schema only"
        hint="Tables without their rows."
      />
    </FormDialog>
  )
}

export function ExpiryDialog({ branch, onClose }: { branch: Branch; onClose: () => void }) {
  const [life, setLife] = useState('86400')
  const update = useBranchUpdate()
  return (
    <FormDialog
      title={`When does ${branch.name} expire?`}
      action="Save"
      onClose={onClose}
      onSubmit={async () => {
        update(await api.change(branch, { life_seconds: Number(life) }))
        onClose()
      }}
    >
      <Field label="Deleted after, from now">
        {(ids) => <Select {...ids} value={life} onValueChange={setLife} options={lives} />}
      </Field>
    </FormDialog>
  )
}

type RenameProps = { branch: Branch; onClose: () => void; onWork: (id: string, title: string) => void }

export function RenameDialog({ branch, onClose, onWork }: RenameProps) {
  const [name, setName] = useState(branch.name)
  return (
    <FormDialog
      title={`Rename ${branch.name}`}
      about="Its address changes with it, and its sessions end."
      action="Rename"
      ready={name !== '' && name !== branch.name}
      onClose={onClose}
      onSubmit={async () => {
        const job = await api.rename(branch, name)
        onClose()
        onWork(job.id, `Renaming ${branch.name}`)
      }}
    >
      <Field label="Name">
        {(ids) => <Input {...ids} autoFocus value={name} onChange={(e) => setName(e.target.value)} />}
      </Field>
    </FormDialog>
  )
}
