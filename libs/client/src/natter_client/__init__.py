"""natter_client"""
