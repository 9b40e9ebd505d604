"""ws_edge"""
