/* price_table.h - share/models/prices.json as it is built in: what services' models cost, with the day it was read. */
#ifndef ATL_CORE_PRICE_TABLE_H
#define ATL_CORE_PRICE_TABLE_H

extern const char atl_price_table_json[];

#endif
