import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '@/api/client'
import { queries } from '@/api/queries'
import type { NewToken } from '@/api/types'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { Dialog } from '@/ui/dialog'
import { Field, Input, Select } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'

const kinds = [
  { value: 'user', label: 'User: what its right allows' },
  { value: 'agent', label: 'Agent: never production' },
  { value: 'admin', label: 'Admin: everything' },
]
const rights = [
  { value: 'read', label: 'Read: see states' },
  { value: 'write', label: 'Write: change development' },
  { value: 'admin', label: 'Admin: change production' },
]
const day = 86400
const lives = [
  { value: String(day), label: '1 day' },
  { value: String(30 * day), label: '30 days' },
  { value: String(90 * day), label: '90 days' },
  { value: String(365 * day), label: '1 year' },
  { value: '0', label: 'Never' },
]
const everything = '*'

/** Makes a token and shows its secret, once. */
export function NewTokenDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const [secret, setSecret] = useState<string | null>(null)
  const close = () => {
    setSecret(null)
    onClose()
  }
  return (
    <Dialog
      open={open}
      onOpenChange={(next) => !next && close()}
      title={secret === null ? 'New token' : 'Copy the secret now'}
      description={secret === null ? undefined : 'It is shown this once. Only its hash is kept.'}
      footer={
        secret === null ? undefined : (
          <Button variant="primary" onClick={close}>
            I have copied it
          </Button>
        )
      }
    >
      {secret === null ? (
        <TokenForm onMade={setSecret} onCancel={close} />
      ) : (
        <div className="flex items-center gap-2 rounded-lg border border-line bg-sunken py-1.5 pr-1.5 pl-3">
          <code className="min-w-0 flex-1 break-all text-xs" data-testid="secret">
            {secret}
          </code>
          <CopyButton text={secret} label="Copy the secret">
            Copy
          </CopyButton>
        </div>
      )}
    </Dialog>
  )
}

function TokenForm({ onMade, onCancel }: { onMade: (secret: string) => void; onCancel: () => void }) {
  const projects = useQuery(queries.projects()).data ?? []
  const you = useQuery(queries.server()).data?.you
  const client = useQueryClient()
  const [name, setName] = useState('')
  const [kind, setKind] = useState('user')
  const [right, setRight] = useState('read')
  const [project, setProject] = useState(everything)
  const [life, setLife] = useState(String(90 * day))
  const admin = kind === 'admin'
  const agentWithoutProject = kind === 'agent' && project === everything
  const make = useMutation({
    mutationFn: () => {
      const ask: NewToken = {
        name: name.trim(),
        kind: kind as NewToken['kind'],
        right: admin ? 'admin' : (right as NewToken['right']),
        expires_in_seconds: Number(life),
      }
      if (!admin && project !== everything) ask.project = project
      return api.createToken(ask)
    },
    onSuccess: (made) => {
      client.invalidateQueries({ queryKey: ['tokens'] })
      onMade(made.secret)
    },
  })
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        make.mutate()
      }}
    >
      <Field label="Name" hint="Shown in the activity log. Name what uses it.">
        {(ids) => (
          <Input
            {...ids}
            autoFocus
            required
            maxLength={100}
            value={name}
            placeholder="ci"
            onChange={(e) => setName(e.target.value)}
          />
        )}
      </Field>
      <Field label="Kind">
        {(ids) => (
          <Select
            {...ids}
            value={kind}
            onValueChange={setKind}
            options={kinds.map((k) => ({ ...k, disabled: k.value === 'admin' && !you?.admin }))}
          />
        )}
      </Field>
      {!admin && (
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Project" error={agentWithoutProject ? 'An agent belongs to one project.' : undefined}>
            {(ids) => (
              <Select
                {...ids}
                value={project}
                onValueChange={setProject}
                options={[
                  { value: everything, label: 'Every project' },
                  ...projects.map((p) => ({ value: p.name, label: p.name })),
                ]}
              />
            )}
          </Field>
          <Field label="Right">
            {(ids) => (
              <Select
                {...ids}
                value={right}
                onValueChange={setRight}
                options={rights.map((r) => ({ ...r, disabled: kind === 'agent' && r.value === 'admin' }))}
              />
            )}
          </Field>
        </div>
      )}
      <Field label="Expires after">
        {(ids) => <Select {...ids} value={life} onValueChange={setLife} options={lives} />}
      </Field>
      {make.error && <ErrorNotice error={make.error} />}
      <div className="flex justify-end gap-2">
        <Button onClick={onCancel}>Cancel</Button>
        <Button
          type="submit"
          variant="primary"
          busy={make.isPending}
          disabled={name.trim() === '' || agentWithoutProject}
        >
          Create token
        </Button>
      </div>
    </form>
  )
}
