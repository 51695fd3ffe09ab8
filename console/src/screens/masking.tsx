import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { Plus, Trash2, VenetianMask } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { branches as api, type MaskRule } from '@/api/branches'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Input, Select } from '@/ui/field'
import { Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { PageHead } from './page'

const kinds: { value: MaskRule['kind']; label: string }[] = [
  { value: 'null', label: 'Nothing (NULL)' },
  { value: 'hash', label: 'Hash' },
  { value: 'fake_name', label: 'A made-up name' },
  { value: 'fake_email', label: 'A made-up address' },
  { value: 'fake_phone', label: 'A made-up phone number' },
  { value: 'keep_format', label: 'Other letters and digits' },
  { value: 'expression', label: 'SQL expression' },
]

/** How copies of production are masked before anybody can connect to them. */
export function MaskingScreen() {
  const project = useParams({ from: '/inside/projects/$project/masking' }).project
  const { data, error } = useQuery({
    queryKey: ['masking', project],
    queryFn: ({ signal }) => api.masking(project, signal),
  })
  return (
    <>
      <PageHead
        name={`Masking · ${project}`}
        title="Masking"
        about="What becomes of personal data in a masked branch. The rules hold for branches that are made from now on."
      />
      {error && <ErrorNotice error={error} />}
      {!data && !error && <Skeleton className="h-48" />}
      {data && <Rules project={project} saved={data} />}
    </>
  )
}

type Draft = MaskRule & { key: number }

function Rules({ project, saved }: { project: string; saved: MaskRule[] }) {
  const [rules, setRules] = useState<Draft[]>(() => saved.map((r, key) => ({ ...r, key })))
  const [next, setNext] = useState(saved.length)
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const may = useRights(project).admin
  const client = useQueryClient()
  const set = (key: number, change: Partial<MaskRule>) =>
    setRules(rules.map((r) => (r.key === key ? { ...r, ...change } : r)))
  const add = () => {
    setRules([...rules, { schema: 'public', table: '', column: '', kind: 'hash', key: next }])
    setNext(next + 1)
  }
  const save = async () => {
    setBusy(true)
    setError(null)
    try {
      const items = rules.map(({ key: _, expression, ...r }) => ({
        ...r,
        ...(r.kind === 'expression' && { expression: expression ?? '' }),
      }))
      await api.setMasking(project, items)
      await client.invalidateQueries({ queryKey: ['masking', project] })
      toast.success('Masking rules saved')
    } catch (thrown) {
      setError(thrown)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Panel>
      <PanelHead title="Rules" about="Equal values stay equal, so that references between tables hold.">
        {may && (
          <>
            <Button onClick={add}>
              <Plus /> Add a rule
            </Button>
            <Button variant="primary" busy={busy} onClick={save}>
              Save rules
            </Button>
          </>
        )}
      </PanelHead>
      {error !== null && <ErrorNotice error={error} className="m-3" />}
      {rules.length === 0 ? (
        <Empty icon={VenetianMask} title="Nothing is masked yet">
          Add a rule for each column with personal data, then make a branch with “Mask it”.
        </Empty>
      ) : (
        <Table>
          <thead>
            <tr>
              <Th>Schema</Th>
              <Th>Table</Th>
              <Th>Column</Th>
              <Th>Becomes</Th>
              <Th>
                <span className="sr-only">Remove</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {rules.map((r, i) => (
              <Tr key={r.key}>
                {(['schema', 'table', 'column'] as const).map((part) => (
                  <Td key={part}>
                    <Input
                      aria-label={`${part} of rule ${i + 1}`}
                      value={r[part]}
                      readOnly={!may}
                      onChange={(e) => set(r.key, { [part]: e.target.value })}
                      className="min-w-28"
                    />
                  </Td>
                ))}
                <Td>
                  <div className="flex min-w-48 flex-col gap-1.5">
                    <Select
                      aria-label={`What rule ${i + 1} makes`}
                      value={r.kind}
                      disabled={!may}
                      onValueChange={(kind) => set(r.key, { kind: kind as MaskRule['kind'] })}
                      options={kinds}
                    />
                    {r.kind === 'expression' && (
                      <Input
                        aria-label={`Expression of rule ${i + 1}`}
                        value={r.expression ?? ''}
                        readOnly={!may}
                        onChange={(e) => set(r.key, { expression: e.target.value })}
                        placeholder="date_trunc('year', born)"
                      />
                    )}
                  </div>
                </Td>
                <Td>
                  {may && (
                    <Button
                      variant="ghost"
                      size="icon"
                      aria-label={`Remove rule ${i + 1}`}
                      onClick={() => setRules(rules.filter((other) => other.key !== r.key))}
                    >
                      <Trash2 />
                    </Button>
                  )}
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Panel>
  )
}
