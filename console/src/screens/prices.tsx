import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Coins } from 'lucide-react'
import { useState } from 'react'
import { type UsagePrices, usage } from '@/api/usage'
import { labelOf, metrics, priceUnit, written } from '@/lib/usage'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { FormDialog } from './branch-dialogs'

/** What usage costs, in every project. */
export function Prices() {
  const client = useQueryClient()
  const { data, error } = useQuery({ queryKey: ['prices'], queryFn: ({ signal }) => usage.prices(signal) })
  const [changing, setChanging] = useState(false)
  const set = Object.entries(data?.prices ?? {})
  return (
    <Panel>
      <PanelHead
        title="Prices"
        about={`What costs are counted with, in every project and for what was used before as well.${
          data ? ` A billing period begins on day ${data.start_day} of the month.` : ''
        }`}
      >
        {data && <Button onClick={() => setChanging(true)}>Change the prices</Button>}
      </PanelHead>
      {error && <ErrorNotice error={error} className="m-3" />}
      {!data && !error && <Skeleton className="m-4 h-24" />}
      {data && set.length === 0 && (
        <Empty icon={Coins} title="No prices">
          With a price list every project shows what it costs, and a budget can bound it.
        </Empty>
      )}
      {data && set.length > 0 && (
        <Table aria-label="Prices">
          <thead>
            <tr>
              <Th>What</Th>
              <Th className="text-right">Price</Th>
              <Th>For one</Th>
            </tr>
          </thead>
          <tbody>
            {set.map(([metric, price]) => (
              <Tr key={metric}>
                <Td>{labelOf(metric)}</Td>
                <Td className="whitespace-nowrap text-right">
                  {price} {data.currency}
                </Td>
                <Td className="text-muted">{priceUnit(metric)}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {data && changing && (
        <PricesDialog
          prices={data}
          onClose={() => setChanging(false)}
          onSaved={() => {
            setChanging(false)
            client.invalidateQueries({ queryKey: ['prices'] })
            client.invalidateQueries({ queryKey: ['usage'] })
          }}
        />
      )}
    </Panel>
  )
}

type DialogProps = { prices: UsagePrices; onClose: () => void; onSaved: () => void }

function PricesDialog({ prices, onClose, onSaved }: DialogProps) {
  const [currency, setCurrency] = useState(prices.currency ?? '')
  const [day, setDay] = useState(String(prices.start_day))
  const [texts, setTexts] = useState(() =>
    Object.fromEntries(Object.entries(prices.prices).map(([metric, price]) => [metric, String(price)])),
  )
  const names = [...new Set([...metrics.map((m) => m.name as string), ...Object.keys(prices.prices)])]
  const given = Object.entries(texts).filter(([, text]) => text.trim() !== '')
  const wrong = given.some(([, text]) => Number.isNaN(written(text)))
  return (
    <FormDialog
      title="Change the prices"
      about="What is left empty costs nothing."
      action="Save"
      ready={!wrong && Number.isInteger(written(day))}
      onClose={onClose}
      onSubmit={async () => {
        await usage.setPrices({
          ...(currency.trim() && { currency: currency.trim().toUpperCase() }),
          start_day: written(day),
          prices: Object.fromEntries(given.map(([metric, text]) => [metric, written(text)])),
        })
        onSaved()
      }}
    >
      <div className="grid grid-cols-2 gap-4">
        <Field label="Currency" hint="Three letters: EUR.">
          {(ids) => (
            <Input {...ids} autoFocus maxLength={3} value={currency} onChange={(e) => setCurrency(e.target.value)} />
          )}
        </Field>
        <Field label="First day of a billing period" hint="1 to 28, at midnight UTC.">
          {(ids) => <Input {...ids} inputMode="numeric" value={day} onChange={(e) => setDay(e.target.value)} />}
        </Field>
      </div>
      <div className="grid gap-4 sm:grid-cols-2">
        {names.map((metric) => (
          <Field
            key={metric}
            label={labelOf(metric)}
            hint={`For one ${priceUnit(metric)}.`}
            error={(texts[metric] ?? '').trim() !== '' && Number.isNaN(written(texts[metric] ?? '')) && 'A number.'}
          >
            {(ids) => (
              <Input
                {...ids}
                inputMode="decimal"
                value={texts[metric] ?? ''}
                onChange={(e) => setTexts({ ...texts, [metric]: e.target.value })}
              />
            )}
          </Field>
        ))}
      </div>
    </FormDialog>
  )
}
